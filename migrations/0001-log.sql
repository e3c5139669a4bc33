-- The log. What stands here can never be rebuilt from anything else, so nothing here is ever updated or deleted.

create table log (
  log_id           uuid   primary key,
  host_id          uuid   not null,
  created_at_us    bigint not null,
  format           int    not null,
  partition_events bigint not null check (partition_events > 0)
);
create unique index log_is_one on log ((true));
comment on table log is 'The log itself: one row';
comment on column log.log_id is 'Name of this log, made once';
comment on column log.host_id is 'The host whose events these are';
comment on column log.created_at_us is 'When it was made, microseconds since 1970';
comment on column log.format is 'Version of the hashed form of an event';
comment on column log.partition_events is 'Positions of one partition of table event';

-- Who holds the log. The lock itself is a session advisory lock; this row says whose it is.
create table writer (
  one           boolean primary key default true check (one),
  session       uuid    not null,
  pid           bigint  not null,
  started_at_us bigint  not null,
  host          text    not null
);
comment on table writer is 'The last process that opened the log for writing: one row, information only';
comment on column writer.one is 'Always true: keeps the table at one row';
comment on column writer.session is 'Made anew by every opener';
comment on column writer.pid is 'Process id of the writer';
comment on column writer.started_at_us is 'When that process started, microseconds since 1970';
comment on column writer.host is 'Name of the machine it runs on';

create table commit (
  commit_no   bigint primary key,
  prev_commit bigint references commit,
  prev_last   bigint references commit (last_pos),
  first_pos   bigint not null,
  last_pos    bigint not null unique,
  at_us       bigint not null,
  epoch       int    not null check (epoch >= 0),
  root        bytea  not null check (length(root) = 32),
  constraint commit_no_fork unique nulls not distinct (prev_last),
  constraint commit_one_genesis unique nulls not distinct (prev_commit),
  constraint commit_no_gap check (
    case when prev_last is null
      then commit_no = 0 and prev_commit is null and first_pos = 0 and last_pos = -1
      else prev_commit is not null and commit_no = prev_commit + 1 and first_pos = prev_last + 1 and last_pos >= first_pos
    end)
);
comment on table commit is 'The chain of commits: dense, without fork or gap, held by its constraints';
comment on column commit.commit_no is 'Number of the commit, from 0 (the empty genesis)';
comment on column commit.prev_commit is 'Number of the commit before';
comment on column commit.prev_last is 'Last position of the commit before';
comment on column commit.first_pos is 'Position of its first event';
comment on column commit.last_pos is 'Position of its last event';
comment on column commit.at_us is 'When it was made, microseconds since 1970; strictly increasing';
comment on column commit.epoch is 'How often the log had been opened for writing';
comment on column commit.root is 'RFC 6962 tree root over all events up to last_pos';

create table category (
  category_id int primary key,
  name        text collate "C" not null unique
);
comment on table category is 'Kinds of streams: the part of a stream name before its first dash';
comment on column category.category_id is 'Number of the category';
comment on column category.name is 'Its name';

create table stream (
  stream_id   bigint primary key,
  name        text collate "C" not null unique,
  category_id int    not null references category,
  first_pos   bigint not null
);
comment on table stream is 'Names of the streams';
comment on column stream.stream_id is 'Number of the stream in this log';
comment on column stream.name is 'Its name';
comment on column stream.category_id is 'Its category';
comment on column stream.first_pos is 'Position of its first event';

create table event_type (
  type_id        int  primary key,
  name           text collate "C" not null,
  schema_version int  not null check (schema_version >= 1),
  unique (name, schema_version)
);
comment on table event_type is 'Event types and their schema versions';
comment on column event_type.type_id is 'Number of the type in this log';
comment on column event_type.name is 'Its name';
comment on column event_type.schema_version is 'Version of the form of its data';

create table event (
  pos       bigint not null,
  stream_id bigint not null,
  revision  bigint not null check (revision >= 0),
  type_id   int    not null,
  commit_no bigint not null,
  event_id  uuid   not null,
  data      bytea,
  meta      bytea,
  data_hash bytea,
  constraint event_data_or_hash check ((data is null) = (data_hash is not null))
) partition by range (pos);
comment on table event is 'The events';
comment on column event.pos is 'Position in the log, from 0, without a gap';
comment on column event.stream_id is 'The stream';
comment on column event.revision is 'Number in its stream, from 0, without a gap';
comment on column event.type_id is 'Type and schema version';
comment on column event.commit_no is 'The commit that recorded it';
comment on column event.event_id is 'Name given by who appended it';
comment on column event.data is 'What happened: UTF-8 JSON, byte for byte; null after an erasure';
comment on column event.meta is 'Who, by what, why: UTF-8 JSON, byte for byte';
comment on column event.data_hash is 'SHA-256 of erased data';

create table blob (
  sha256 bytea primary key check (length(sha256) = 32),
  bytes  bytea not null
);
comment on table blob is 'Big texts that events name by hash';
comment on column blob.sha256 is 'SHA-256 of the bytes';
comment on column blob.bytes is 'The bytes';

-- Where the tree is picked up at start: at least one row every 256 events.
create table tree_edge (
  size   bigint primary key check (size >= 0),
  hashes bytea  not null check (length(hashes) % 32 = 0)
);
comment on table tree_edge is 'Right edge of the RFC 6962 tree at some sizes';
comment on column tree_edge.size is 'Number of leaves';
comment on column tree_edge.hashes is 'Roots of its perfect subtrees, largest first, 32 bytes each';

create function log_refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'Cannot % table %: the log is append-only', lower(tg_op), tg_table_name using errcode = '55000';
end $$;
create trigger commit_append_only before update or delete on commit for each row execute function log_refuse_change();
create trigger event_append_only before update or delete on event for each row execute function log_refuse_change();
create trigger stream_append_only before update or delete on stream for each row execute function log_refuse_change();
create trigger event_type_append_only before update or delete on event_type for each row execute function log_refuse_change();
create trigger category_append_only before update or delete on category for each row execute function log_refuse_change();
create trigger commit_never_emptied before truncate on commit for each statement execute function log_refuse_change();
create trigger event_never_emptied before truncate on event for each statement execute function log_refuse_change();

-- A partition is made beside the table and then attached: CREATE TABLE ... PARTITION OF would wait for every reader.
create function log_add_partition(at_pos bigint) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  size       bigint := (select partition_events from log);
  first_pos  bigint := at_pos / size * size;
  part       text   := format('event_%s', at_pos / size);
begin
  if to_regclass(part) is not null then return; end if;
  execute format('create table %I (like event including comments including constraints, primary key (pos), unique (stream_id, revision), '
    'constraint event_range check (pos >= %s and pos < %s))', part, first_pos, first_pos + size);
  execute format('alter table event attach partition %I for values from (%s) to (%s)', part, first_pos, first_pos + size);
  execute format('create trigger event_never_emptied before truncate on %I for each statement execute function log_refuse_change()', part);
end $$;

-- Fails the statement it stands in: the rows are not what the writer's memory says.
create function log_assert(ok boolean, what text) returns void language plpgsql as $$
begin
  if ok is not true then
    raise exception 'The rows changed by "%" are not those the writer knows', what using errcode = '23514', constraint = 'log_assert';
  end if;
end $$;

-- The last commit stamped at or before a time; null before the genesis. Stamps increase with the number, so a bisection needs no index.
create function commit_at(time_us bigint) returns bigint language plpgsql stable as $$
declare
  low  bigint := -1;
  high bigint := (select max(commit_no) + 1 from commit);
  mid  bigint;
begin
  while high - low > 1 loop
    mid := low + (high - low) / 2;
    if (select at_us from commit where commit_no = mid) <= time_us then low := mid; else high := mid; end if;
  end loop;
  return nullif(low, -1);
end $$;

create view log_events as
  select e.pos as position, s.name as stream, e.revision, t.name as type, t.schema_version, e.event_id, e.commit_no, c.epoch,
    timestamptz 'epoch' + c.at_us * interval '1 microsecond' as recorded_at,
    convert_from(e.data, 'UTF8') as data, convert_from(e.meta, 'UTF8') as meta
  from event e join stream s using (stream_id) join event_type t using (type_id) join commit c using (commit_no);
comment on view log_events is 'The events with their names spelled out, for people and reporting tools';
comment on column log_events.position is 'Position in the log, from 0';
comment on column log_events.stream is 'Name of the stream';
comment on column log_events.revision is 'Number in the stream, from 0';
comment on column log_events.type is 'Name of the event type';
comment on column log_events.schema_version is 'Version of the form of its data';
comment on column log_events.event_id is 'Name given by who appended it';
comment on column log_events.commit_no is 'The commit that recorded it';
comment on column log_events.epoch is 'How often the log had been opened for writing';
comment on column log_events.recorded_at is 'When it was recorded';
comment on column log_events.data is 'What happened, JSON text; null after an erasure';
comment on column log_events.meta is 'Who, by what, why: JSON text';
