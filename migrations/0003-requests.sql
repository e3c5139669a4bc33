-- Appends whose caller may repeat them without an exact revision, by the name the caller gave them.

create table request (
  request_id uuid   primary key,
  commit_no  bigint not null references commit,
  first_pos  bigint not null,
  last_pos   bigint not null,
  constraint request_has_events check (last_pos >= first_pos)
);
comment on table request is 'Appends of the last days that may be repeated: the same request is answered with the same events';
comment on column request.request_id is 'UUIDv7 given by the caller';
comment on column request.commit_no is 'The commit that recorded it';
comment on column request.first_pos is 'Position of its first event';
comment on column request.last_pos is 'Position of its last event';
