create table claims (
  kind text not null,
  subject text not null,
  domain_uuid text not null,
  mode text not null,
  like temporal_row including comments
);
comment on table claims is 'Things that only one domain may have, or several may only read: names, images in use, ports.';
comment on column claims.kind is 'name, image or port.';
comment on column claims.subject is 'The name, the path of the image, or the number of the port.';
comment on column claims.domain_uuid is 'UUID of the domain that has it.';
comment on column claims.mode is 'exclusive, or shared when the image is only read.';
