-- Builds of read models: a changed projection is built beside the serving one, compared, and switched.

alter table projection drop constraint projection_state_check;
alter table projection add constraint projection_state_check check (state in ('building', 'behind', 'live', 'following'));
comment on column projection.state is
  'building (from position 0), behind (not followed since position), live (changed in the transaction of every commit), following (behind the writer, in batches)';

alter table dead_letter add column last_tried_at_us bigint;
comment on column dead_letter.last_tried_at_us is 'When it was last tried again, microseconds since 1970; null: never';

create table projection_build (
  name          text   primary key,
  schema_name   text   not null unique,
  version       int    not null,
  code          text   not null,
  state         text   not null check (state in ('filling', 'ready')),
  position      bigint not null,
  started_at_us bigint not null,
  tables        text[] not null
);
comment on table projection_build is 'Read models that are built, or have been built, beside those that serve';
comment on column projection_build.name is 'Name of the projection';
comment on column projection_build.schema_name is 'Schema of the tables that are built; whoever fills them holds an advisory lock on its name';
comment on column projection_build.version is 'Version of its handlers and SQL';
comment on column projection_build.code is 'SHA-256 over its handlers and SQL: another program''s build is not taken for this one''s';
comment on column projection_build.state is 'filling, or ready to be caught up and switched to';
comment on column projection_build.position is 'Last event taken in';
comment on column projection_build.started_at_us is 'When the build began, microseconds since 1970';
comment on column projection_build.tables is 'Its tables';
