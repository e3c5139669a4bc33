-- Which blocks of 4,096 positions hold a type or a category at all: a filtered read skips the others.

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
