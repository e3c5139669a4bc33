create table emulators (
  binary_path text not null,
  caps_id text not null,
  state text not null,
  arch text not null,
  emulator_version integer not null,
  package text not null,
  document_sha256 text not null,
  conversation_sha256 text not null,
  resolved_path text not null,
  device bigint not null,
  inode bigint not null,
  size_bytes bigint not null,
  ctime_ns bigint not null,
  content_sha256 text not null,
  executable_path text not null,
  kvm_usable boolean not null,
  module_directory text,
  module_directory_mtime_ns bigint,
  kernel text not null,
  microcode text,
  host_cpu text not null,
  nested_kvm boolean not null,
  uid integer not null,
  gid integer not null,
  executable_device bigint,
  executable_inode bigint,
  executable_size_bytes bigint,
  executable_ctime_ns bigint,
  daemon_build text,
  cpuid text,
  secure_guest text,
  firmware text,
  probed_at_us bigint not null,
  invalidated_reason text,
  invalidated_was text,
  invalidated_is text,
  error text,
  like temporal_row including comments
);
comment on table emulators is 'Capability cache: one row per emulator binary with its latest capability version and whether it is still valid.';
comment on column emulators.binary_path is 'Path of the emulator as it was asked for.';
comment on column emulators.caps_id is 'Id of the capability version; empty when no probe ever succeeded.';
comment on column emulators.state is 'valid, invalidated or unprobeable.';
comment on column emulators.arch is 'Architecture of the guests that it runs.';
comment on column emulators.emulator_version is 'major * 1000000 + minor * 1000 + micro.';
comment on column emulators.package is 'Version text of the distribution; empty when the emulator gives none.';
comment on column emulators.document_sha256 is 'SHA-256 of the capability document (JSON); its text is in blob.';
comment on column emulators.conversation_sha256 is 'SHA-256 of the recorded conversation with the emulator; its text is in blob.';
comment on column emulators.resolved_path is 'Path after following links.';
comment on column emulators.device is 'Device number of the resolved file.';
comment on column emulators.inode is 'Inode number of the resolved file.';
comment on column emulators.size_bytes is 'Size of the resolved file in bytes.';
comment on column emulators.ctime_ns is 'Change time of the resolved file in nanoseconds since 1970.';
comment on column emulators.content_sha256 is 'SHA-256 of the resolved file.';
comment on column emulators.executable_path is 'Executable of the process that answered: differs from the resolved path behind a wrapper.';
comment on column emulators.kvm_usable is 'Whether the user of the emulators could open /dev/kvm.';
comment on column emulators.module_directory is 'Directory of the loadable modules; null when there is none.';
comment on column emulators.module_directory_mtime_ns is 'Modification time of that directory in nanoseconds since 1970.';
comment on column emulators.kernel is 'Release and version of the kernel.';
comment on column emulators.microcode is 'Microcode version of the processor; null when the host states none.';
comment on column emulators.host_cpu is 'Vendor, family, model and stepping of the processor.';
comment on column emulators.nested_kvm is 'Whether nested virtualization was on.';
comment on column emulators.uid is 'User id that the emulator was asked as.';
comment on column emulators.gid is 'Group id that the emulator was asked as.';
comment on column emulators.executable_device is 'Device number of that executable; null where it is the resolved file, or was not recorded.';
comment on column emulators.executable_inode is 'Inode number of that executable; null where it is the resolved file, or was not recorded.';
comment on column emulators.executable_size_bytes is 'Size of that executable in bytes; null where it is the resolved file, or was not recorded.';
comment on column emulators.executable_ctime_ns is 'Change time of that executable in nanoseconds since 1970; null where it is the resolved file, or was not recorded.';
comment on column emulators.daemon_build is 'Build of the daemon that asked; null where it was not recorded.';
comment on column emulators.cpuid is 'SHA-256 of the CPU features that KVM could give to guests; null where KVM could not be asked, or it was not recorded.';
comment on column emulators.secure_guest is 'What the host had for guests whose memory it cannot read; null where it was not recorded.';
comment on column emulators.firmware is 'SHA-256 over the descriptors of firmware; null where it was not recorded.';
comment on column emulators.probed_at_us is 'Time of the latest answer, microseconds since 1970.';
comment on column emulators.invalidated_reason is 'Reason out of the closed list; null while valid.';
comment on column emulators.invalidated_was is 'Recorded value that was compared; null while valid.';
comment on column emulators.invalidated_is is 'Value found instead; null while valid.';
comment on column emulators.error is 'Why the emulator could not be asked; null otherwise.';
