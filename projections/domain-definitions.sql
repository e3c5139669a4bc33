create table domain_definitions (
  domain_uuid text not null,
  name text not null,
  definition_sha256 text not null,
  submitted_sha256 text not null,
  caps_id text not null,
  emulator text not null,
  autostart boolean not null,
  defined_by text not null,
  defined_uid integer not null,
  reason text,
  like temporal_row including comments
);
comment on table domain_definitions is 'Definitions of domains: what the next start uses. One row per domain and time.';
comment on column domain_definitions.domain_uuid is 'UUID of the domain.';
comment on column domain_definitions.name is 'Name of the domain; unique among all domains at any time.';
comment on column domain_definitions.definition_sha256 is 'SHA-256 of the stored definition (domain XML as parsed, completed and printed); its text is in blob.';
comment on column domain_definitions.submitted_sha256 is 'SHA-256 of the domain XML as the client sent it; its text is in blob.';
comment on column domain_definitions.caps_id is 'Capability version that the definition was judged by.';
comment on column domain_definitions.emulator is 'Path of the emulator that the definition names.';
comment on column domain_definitions.autostart is 'Whether the domain starts when the host has booted.';
comment on column domain_definitions.defined_by is 'Program that sent the definition.';
comment on column domain_definitions.defined_uid is 'Numeric user id that sent the definition.';
comment on column domain_definitions.reason is 'Reason given with the connection, for example a change ticket; null when none was given.';
