create table open_intents (
  domain_uuid text not null,
  intent text not null,
  command_id text not null,
  procedure text not null,
  requested_by text not null,
  requested_at_us bigint not null,
  like temporal_row including comments
);
comment on table open_intents is 'Intents whose outcome is not recorded yet: normally there for milliseconds, after a crash until the next start settles them.';
comment on column open_intents.domain_uuid is 'UUID of the domain.';
comment on column open_intents.intent is 'Type of the event that recorded the intent.';
comment on column open_intents.command_id is 'Id of the command that asked for it.';
comment on column open_intents.procedure is 'Procedure by which it was asked for.';
comment on column open_intents.requested_by is 'Program that asked for it.';
comment on column open_intents.requested_at_us is 'Time of the request, microseconds since 1970.';
