-- The tree over the events, as C2SP tlog-tiles has it, the checkpoints signed over it, and the one way to take a payload away.

create table tile (
  level  int    not null check (level >= 0),
  n      bigint not null check (n >= 0),
  width  int    not null check (width between 1 and 256),
  hashes bytea  not null,
  root   bytea  not null check (length(root) = 32),
  primary key (level, n, width),
  constraint tile_has_its_hashes check (length(hashes) = 32 * width)
);
comment on table tile is 'Tiles of the RFC 6962 tree over the events: each full one, made with the commit that filled it, and the last of level 0 for every signed checkpoint';
comment on column tile.level is 'Level: its hashes are roots of 256^level leaves';
comment on column tile.n is 'Number of the tile on its level';
comment on column tile.width is 'Hashes in it; 256: it is full';
comment on column tile.hashes is 'The hashes, 32 bytes each';
comment on column tile.root is 'The root over its hashes';

-- The edge of the tree is found from the tiles now; rows that an earlier version wrote stay.
comment on table tree_edge is 'Right edge of the RFC 6962 tree at some sizes, written by earlier versions';

create table signed_checkpoint (
  size bigint primary key check (size >= 0),
  note text   not null
);
comment on table signed_checkpoint is 'Signed statements of what the log was at a size';
comment on column signed_checkpoint.size is 'Number of events';
comment on column signed_checkpoint.note is 'C2SP tlog-checkpoint: a signed note';

create table log_key (
  verifier_key text   primary key,
  first_size   bigint not null check (first_size >= 0)
);
comment on table log_key is 'Public keys that have signed checkpoints of this log; whoever checks it compares them with the one that was handed to them';
comment on column log_key.verifier_key is 'C2SP signed-note verifier key: name, id and public key';
comment on column log_key.first_size is 'Number of events when it was first used';

create trigger tile_append_only before update or delete on tile for each row execute function log_refuse_change();
create trigger tile_never_emptied before truncate on tile for each statement execute function log_refuse_change();
create trigger signed_checkpoint_append_only before update or delete on signed_checkpoint for each row execute function log_refuse_change();
create trigger signed_checkpoint_never_emptied before truncate on signed_checkpoint for each statement execute function log_refuse_change();
create trigger log_key_append_only before update or delete on log_key for each row execute function log_refuse_change();
create trigger log_key_never_emptied before truncate on log_key for each statement execute function log_refuse_change();
create trigger blob_never_emptied before truncate on blob for each statement execute function log_refuse_change();

-- The only change that an event may see: its data gives way to the hash of that very data, inside log_erase_payload. Big texts go only there.
create function log_refuse_change_but_erasure() returns trigger language plpgsql as $$
begin
  if current_setting('chronovisor.erases', true) = 'yes' then
    if tg_table_name = 'blob' and tg_op = 'DELETE' then return old; end if;
    if tg_table_name <> 'blob' and tg_op = 'UPDATE' then
      if (new.pos, new.stream_id, new.revision, new.type_id, new.commit_no, new.event_id, new.meta)
          is not distinct from (old.pos, old.stream_id, old.revision, old.type_id, old.commit_no, old.event_id, old.meta)
        and old.data is not null and new.data is null and new.data_hash = sha256(old.data)
      then return new; end if;
    end if;
  end if;
  raise exception 'Cannot % table %: the log is append-only', lower(tg_op), tg_table_name using errcode = '55000';
end $$;
drop trigger event_append_only on event;
create trigger event_append_only before update or delete on event for each row execute function log_refuse_change_but_erasure();
create trigger blob_append_only before update or delete on blob for each row execute function log_refuse_change_but_erasure();

-- Takes the data of an event away, whose SHA-256 is given, and those of the given big texts that no event after known_to names: the
-- caller has searched the events up to there. It runs in the commit that records the PayloadErased event. Returns how many texts went.
create function log_erase_payload(at_pos bigint, sha bytea, texts bytea[], known_to bigint) returns int
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  gone int;
begin
  perform set_config('chronovisor.erases', 'yes', true);
  update event set data = null, data_hash = sha where pos = at_pos and sha256(data) = sha;
  if not found then
    raise exception 'Cannot erase the data of event %: it has no data with that SHA-256', at_pos using errcode = '23514', constraint = 'log_erase_payload';
  end if;
  delete from blob b where b.sha256 = any (texts) and not exists (
    select 1 from event e where e.pos > known_to and e.data is not null
      and e.type_id not in (select type_id from event_type where name = 'PayloadErased')
      and position(convert_to(encode(b.sha256, 'hex'), 'UTF8') in e.data) > 0);
  get diagnostics gone = row_count;
  perform set_config('chronovisor.erases', '', true);
  return gone;
end $$;
revoke execute on function log_erase_payload(bigint, bytea, bytea[], bigint) from public;
