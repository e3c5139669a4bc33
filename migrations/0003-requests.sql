-- Appends whose caller may repeat them without an exact revision, by the name the caller gave them; and a leaner chain of commits.

-- Not part of the log: rows older than the window are deleted, and whoever lost them all would lose no event.
create table request (
  request_id uuid   primary key,
  first_pos  bigint not null,
  last_pos   bigint not null,
  constraint request_has_events check (last_pos >= first_pos)
);
comment on table request is 'Appends of the last hours that may be repeated: the same request is answered with the same events';
comment on column request.request_id is 'UUIDv7 given by the caller';
comment on column request.first_pos is 'Position of its first event';
comment on column request.last_pos is 'Position of its last event';

-- An as-of answer never changes: the next writer has to stamp later than every time for which one was given.
alter table writer add column as_of_us bigint;
comment on column writer.as_of_us is 'The latest time after the last commit for which an answer was given, microseconds since 1970';

-- The same guarantees by less: a commit refers to number and end of its predecessor at once, so a second successor would need the same
-- number, and a second genesis the number 0. One look-up instead of two, three indexes instead of four.
alter table commit
  drop constraint commit_prev_commit_fkey,
  drop constraint commit_prev_last_fkey,
  drop constraint commit_no_fork,
  drop constraint commit_one_genesis,
  drop constraint commit_no_gap,
  drop constraint commit_epoch_check,
  drop constraint commit_root_check,
  add constraint commit_end unique (commit_no, last_pos),
  add constraint commit_follows foreign key (prev_commit, prev_last) references commit (commit_no, last_pos) match full,
  add constraint commit_no_gap check (
    commit_no = coalesce(prev_commit, -1) + 1 and first_pos = coalesce(prev_last, -1) + 1
    and case when commit_no = 0 then last_pos = -1 else last_pos >= first_pos end
    and epoch >= 0 and length(root) = 32);

-- The last revision of a stream whose first event is at `first_pos`, -1 where it has none: looked for in the newest partition first, so
-- that a stream in use costs one probe however many partitions there are. A plan that sorts would go by position, through thousands of events.
create function stream_last_revision(of_stream bigint, first_pos bigint) returns bigint
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_sort = off as $$
declare
  size  bigint := (select partition_events from log);
  part  bigint := (select last_pos / size from commit order by commit_no desc limit 1);
  found bigint;
begin
  while part >= first_pos / size loop
    select e.revision into found from event e
      where e.stream_id = of_stream and e.pos >= part * size and e.pos < (part + 1) * size order by e.revision desc limit 1;
    if found is not null then return found; end if;
    part := part - 1;
  end loop;
  return -1;
end $$;
