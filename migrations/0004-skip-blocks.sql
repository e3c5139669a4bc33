-- Which blocks of 4,096 positions hold a type or a category at all: a filtered read skips the others. Derived from the events: each row
-- is written in the commit that first needs it, and those of events recorded before this migration are made here.

create table type_block (
  type_id int    not null references event_type,
  block   bigint not null,
  primary key (type_id, block)
);
comment on table type_block is 'Blocks of 4,096 positions that hold an event of a type';
comment on column type_block.type_id is 'The type';
comment on column type_block.block is 'Number of the block: position / 4,096';

create table category_block (
  category_id int    not null references category,
  block       bigint not null,
  primary key (category_id, block)
);
comment on table category_block is 'Blocks of 4,096 positions that hold an event of a category';
comment on column category_block.category_id is 'The category';
comment on column category_block.block is 'Number of the block: position / 4,096';

insert into type_block (type_id, block) select distinct type_id, pos / 4096 from event;
insert into category_block (category_id, block)
  select distinct s.category_id, e.pos / 4096 from event e join stream s using (stream_id);

-- The last revision of a stream at or before a position; -1 where it has none. Positions of a stream increase with its revisions, so a
-- bisection by its unique key finds it.
create function stream_revision_at(of_stream bigint, at_pos bigint) returns bigint language plpgsql stable as $$
declare
  low  bigint := -1;
  high bigint := coalesce((select max(revision) + 1 from event where stream_id = of_stream), 0);
  mid  bigint;
begin
  while high - low > 1 loop
    mid := low + (high - low) / 2;
    if (select pos from event where stream_id = of_stream and revision = mid) <= at_pos then low := mid; else high := mid; end if;
  end loop;
  return low;
end $$;
