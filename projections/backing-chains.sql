create table disk_layers (
  domain_uuid text not null,
  disk text not null,
  layer integer not null,
  ordinal integer not null,
  role text not null,
  path text not null,
  format text not null,
  virtual_size_bytes bigint not null,
  created_by text not null,
  device bigint not null,
  inode bigint not null,
  size_bytes bigint not null,
  mtime_ns bigint not null,
  ctime_ns bigint not null,
  like temporal_row including comments
);
comment on table disk_layers is 'Backing chains: one row per file of the chain of each disk.';
comment on column disk_layers.domain_uuid is 'UUID of the domain.';
comment on column disk_layers.disk is 'Target of the disk in the definition, for example vda.';
comment on column disk_layers.layer is 'Number of the layer, unique within the domain; the block nodes of the hypervisor are named after it.';
comment on column disk_layers.ordinal is 'Place in the chain: 0 is the active image.';
comment on column disk_layers.role is 'active, intermediate or base.';
comment on column disk_layers.path is 'Absolute path of the image file.';
comment on column disk_layers.format is 'Format of the image: qcow2 or raw.';
comment on column disk_layers.virtual_size_bytes is 'Size that the guest sees, in bytes.';
comment on column disk_layers.created_by is 'What put the file into the chain: detection, or the snapshot.';
comment on column disk_layers.device is 'Device number of the file when it was last recorded.';
comment on column disk_layers.inode is 'Inode number of the file when it was last recorded.';
comment on column disk_layers.size_bytes is 'Size of the file in bytes when it was last recorded.';
comment on column disk_layers.mtime_ns is 'Modification time in nanoseconds since 1970 when it was last recorded.';
comment on column disk_layers.ctime_ns is 'Change time in nanoseconds since 1970 when it was last recorded.';
