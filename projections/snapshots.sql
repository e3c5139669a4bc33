create table snapshots (
  domain_uuid text not null,
  name text not null,
  parent text,
  is_current boolean not null,
  description text,
  state text not null,
  created_at_us bigint not null,
  definition_sha256 text not null,
  like temporal_row including comments
);
comment on table snapshots is 'Snapshots: the tree of the recorded snapshots of each domain.';
comment on column snapshots.domain_uuid is 'UUID of the domain.';
comment on column snapshots.name is 'Name of the snapshot, unique within the domain.';
comment on column snapshots.parent is 'Name of the snapshot that was current when this one was made; null for a root.';
comment on column snapshots.is_current is 'Whether the next snapshot will have this one as its parent.';
comment on column snapshots.description is 'Free text given at creation; null when none was given.';
comment on column snapshots.state is 'What the domain did at that moment, in the words of the client interface: disk-snapshot or shutoff.';
comment on column snapshots.created_at_us is 'Time of creation, microseconds since 1970.';
comment on column snapshots.definition_sha256 is 'SHA-256 of the definition of that time; its text is in blob.';
create table snapshot_disks (
  domain_uuid text not null,
  name text not null,
  disk text not null,
  ordinal integer not null,
  snapshot text not null,
  format text,
  path text,
  like temporal_row including comments
);
comment on table snapshot_disks is 'What each snapshot did with each disk.';
comment on column snapshot_disks.domain_uuid is 'UUID of the domain.';
comment on column snapshot_disks.name is 'Name of the snapshot.';
comment on column snapshot_disks.disk is 'Target of the disk in the definition.';
comment on column snapshot_disks.ordinal is 'Place of the disk in the snapshot.';
comment on column snapshot_disks.snapshot is 'external, or no when the disk was left out.';
comment on column snapshot_disks.format is 'Format of the overlay that the snapshot created; null when the disk was left out.';
comment on column snapshot_disks.path is 'Path of the overlay that the snapshot created; null when the disk was left out.';
