create table domain_states (
  domain_uuid text not null,
  name text not null,
  state text not null,
  reason text not null,
  domain_id integer not null,
  live_definition_sha256 text not null,
  caps_id text not null,
  pid integer not null,
  start_ticks bigint not null,
  boot_id text not null,
  monitor_path text not null,
  virt_type text not null,
  command_line_sha256 text not null,
  executable_sha256 text not null,
  terminals text not null,
  vnc_ports text not null,
  persistent boolean not null,
  changed_at_us bigint not null,
  like temporal_row including comments
);
comment on table domain_states is 'What each domain does: a row for every domain that ran since it was defined. A domain without a row never ran and is shut off.';
comment on column domain_states.domain_uuid is 'UUID of the domain.';
comment on column domain_states.name is 'Name of the domain when the run began.';
comment on column domain_states.state is 'starting, running, paused, shutoff or crashed.';
comment on column domain_states.reason is 'Why it is in that state: booted, user, unpaused, hypervisor, shutdown, destroyed, crashed, failed, host_rebooted, process_gone, starting.';
comment on column domain_states.domain_id is 'Number of the run (the domain id of the client interface); -1 when shut off.';
comment on column domain_states.live_definition_sha256 is 'SHA-256 of the definition that the run was started with; empty when shut off.';
comment on column domain_states.caps_id is 'Capability version that the run was started with; empty when shut off.';
comment on column domain_states.pid is 'Process id of the hypervisor process; 0 when there is none.';
comment on column domain_states.start_ticks is 'Start time of the process in clock ticks since boot: with pid and boot_id its identity.';
comment on column domain_states.boot_id is 'Boot id of the host at the start of the run.';
comment on column domain_states.monitor_path is 'Path of the monitor socket of the process; empty when there is none.';
comment on column domain_states.virt_type is 'kvm, qemu (translation) or test; empty when shut off.';
comment on column domain_states.command_line_sha256 is 'SHA-256 of the command line, one argument a line; its text is in blob.';
comment on column domain_states.executable_sha256 is 'SHA-256 of the executable that runs.';
comment on column domain_states.terminals is 'JSON object: device alias to pseudo terminal.';
comment on column domain_states.vnc_ports is 'JSON array: TCP ports of the VNC displays in the order of the definition.';
comment on column domain_states.persistent is 'False when the definition was taken away while the domain ran: it is gone when the run ends.';
comment on column domain_states.changed_at_us is 'Time of the last change of state, microseconds since 1970.';
