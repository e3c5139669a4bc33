-- The tree over the events, as C2SP tlog-tiles has it, and the checkpoints signed over it.

create table tile (
  level  int    not null check (level >= 0),
  n      bigint not null check (n >= 0),
  width  int    not null check (width between 1 and 256),
  hashes bytea  not null,
  primary key (level, n),
  constraint tile_has_its_hashes check (length(hashes) = 32 * width)
);
comment on table tile is 'Full tiles of the RFC 6962 tree over the events';
comment on column tile.level is 'Level: its hashes are roots of 256^level leaves';
comment on column tile.n is 'Number of the tile on its level';
comment on column tile.width is 'Hashes in it';
comment on column tile.hashes is 'The hashes, 32 bytes each';

create table signed_checkpoint (
  size bigint primary key check (size >= 0),
  note text   not null
);
comment on table signed_checkpoint is 'Signed statements of what the log was at a size';
comment on column signed_checkpoint.size is 'Number of events';
comment on column signed_checkpoint.note is 'C2SP tlog-checkpoint: a signed note';
