-- Bookkeeping of the read models. The tables of a projection are made by projections/<name>.sql and can be thrown away.

-- The columns that every temporal table has: create table x (..., like temporal_row including comments).
create table temporal_row (
  from_position bigint      not null,
  to_position   bigint,
  valid_from    timestamptz not null,
  valid_to      timestamptz
);
comment on table temporal_row is 'Columns of every temporal table; never holds a row';
comment on column temporal_row.from_position is 'Position of the event that made this version of the row';
comment on column temporal_row.to_position is 'Position of the event that ended it; null for the current version';
comment on column temporal_row.valid_from is 'When that event was recorded';
comment on column temporal_row.valid_to is 'When the ending event was recorded; null for the current version';

create table projection (
  name     text   primary key,
  version  int    not null,
  state    text   not null check (state in ('building', 'behind', 'live')),
  position bigint,
  epoch    int,
  tables   text[] not null,
  constraint projection_live_follows_head check ((state = 'live') = (position is null)),
  constraint projection_live_has_epoch check (state <> 'live' or epoch is not null)
);
comment on table projection is 'The read models and how far they are';
comment on column projection.name is 'Name of the projection';
comment on column projection.version is 'Version of its handlers and SQL';
comment on column projection.state is 'building (from position 0), behind (not followed since position), live (changed in the transaction of every commit)';
comment on column projection.position is 'Last event taken in; null while live: then it is the end of the log, by construction';
comment on column projection.epoch is 'Of the writer whose commits it was live in last';
comment on column projection.tables is 'Its tables';

create table dead_letter (
  projection text   not null,
  stream     text   not null,
  position   bigint not null,
  at_us      bigint not null,
  attempts   int    not null default 1,
  error      text   not null,
  primary key (projection, stream)
);
comment on table dead_letter is 'Streams that a projection could not follow: it skips them from this event on';
comment on column dead_letter.projection is 'Name of the projection';
comment on column dead_letter.stream is 'Name of the stream';
comment on column dead_letter.position is 'Position of the event that could not be taken';
comment on column dead_letter.at_us is 'When it was recorded, microseconds since 1970';
comment on column dead_letter.attempts is 'How often it was tried';
comment on column dead_letter.error is 'What was wrong';
