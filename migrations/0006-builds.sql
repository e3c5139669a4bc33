-- Builds of read models: a changed projection is built beside the serving one, compared, and switched.

alter table dead_letter add column last_tried_at_us bigint;
comment on column dead_letter.last_tried_at_us is 'When it was last tried, microseconds since 1970; null: never again since';
