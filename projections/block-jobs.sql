create table block_jobs (
  job_id text not null,
  domain_uuid text not null,
  disk text not null,
  kind text not null,
  state text not null,
  base_layer integer not null,
  top_layer integer not null,
  on_ready text not null,
  pivot_requested boolean not null,
  bytes_per_second bigint not null,
  requested_by text not null,
  reason text,
  requested_at_us bigint not null,
  ended_at_us bigint,
  error text,
  like temporal_row including comments
);
comment on table block_jobs is 'Block jobs: one row per job, with what became of it.';
comment on column block_jobs.job_id is 'Id of the job: the id of the command that asked for it.';
comment on column block_jobs.domain_uuid is 'UUID of the domain.';
comment on column block_jobs.disk is 'Target of the disk in the definition.';
comment on column block_jobs.kind is 'pull, commit or active_commit.';
comment on column block_jobs.state is 'requested, running, ready, pivoting, finalizing, pivoted, completed, failed, cancelled or lost.';
comment on column block_jobs.base_layer is 'Number of the layer that stays; -1 when a pull takes everything.';
comment on column block_jobs.top_layer is 'Number of the layer that is merged down, or pulled into.';
comment on column block_jobs.on_ready is 'pivot when the pivot was asked for up front, else keep.';
comment on column block_jobs.pivot_requested is 'Whether a pivot has been asked for.';
comment on column block_jobs.bytes_per_second is 'Limit on the speed of the job, in bytes per second; 0 = no limit.';
comment on column block_jobs.requested_by is 'Program that asked for the job.';
comment on column block_jobs.reason is 'Reason given with the connection; null when none was given.';
comment on column block_jobs.requested_at_us is 'Time of the request, microseconds since 1970.';
comment on column block_jobs.ended_at_us is 'Time of the outcome, microseconds since 1970; null while the job lives.';
comment on column block_jobs.error is 'Why the job failed or was lost; null otherwise.';
