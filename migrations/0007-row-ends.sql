-- Versions of rows by their ends: a change leaves the current version where it stands, and adds the one that ended to one index only,
-- instead of adding each version to two. Read models that were made before are brought to it here, those that are being built as well.

do $$
declare
  t record;
begin
  for t in
    select format('%I.%I', n.nspname, c.relname) as name, c.relname as plain, k.conname as old_key,
        (select string_agg(quote_ident(a.attname), ', ' order by p.place)
          from unnest(k.conkey) with ordinality as p (number, place)
            join pg_attribute a on a.attrelid = c.oid and a.attnum = p.number
          where a.attname <> 'from_position') as row_key
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
      where c.relkind = 'r' and c.relname::text in (
          select unnest(tables) from projection union select unnest(tables) from projection_build)
        and exists (
          select 1 from unnest(k.conkey) as p (number) join pg_attribute a on a.attrelid = c.oid and a.attnum = p.number
            where a.attname = 'from_position')
  loop
    execute format('alter table %s add constraint %I unique (%s, to_position)', t.name, t.plain || '_ends', t.row_key);
    execute format('alter table %s drop constraint %I', t.name, t.old_key);
    execute format('alter table %s replica identity full', t.name);
  end loop;
end $$;
