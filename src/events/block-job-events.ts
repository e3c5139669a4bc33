import * as v from 'valibot'
import { fact, type FactsOf, int64 } from './fact.ts'
import { fileIdentity, ownershipChange } from './shared-data.ts'

const jobOnly = v.object({ jobId: v.string() })

/** Facts of block jobs; stream `domain-<uuid>`. The id of a job is the id of the command that asked for it. */
export const blockJobFacts = {
  BlockJobRequested: fact(1, {
    meaning:
      'A block job was asked for and is possible. Layers by index: base stays, top is merged; base -1 = pull everything.',
    data: v.object({
      jobId: v.string(),
      disk: v.string(),
      kind: v.picklist(['pull', 'commit', 'active_commit']),
      base: v.number(),
      top: v.number(),
      onReady: v.picklist(['pivot', 'keep']),
      bytesPerSecond: int64,
      owners: v.array(ownershipChange),
    }),
  }),
  BlockJobStarted: fact(1, { meaning: 'The hypervisor took the job.', data: jobOnly }),
  BlockJobReady: fact(1, {
    meaning: 'Both sides are equal and stay equal: the job can pivot or be cancelled.',
    data: jobOnly,
  }),
  BlockJobPivotRequested: fact(1, {
    meaning: 'A pivot was asked for; it is carried out at READY, whoever is still there.',
    data: jobOnly,
  }),
  BlockJobCancelRequested: fact(1, { meaning: 'An end without pivot was asked for.', data: jobOnly }),
  BlockJobSpeedChanged: fact(1, {
    meaning: 'The limit on the speed of the job was changed; 0 = no limit.',
    data: v.object({ jobId: v.string(), bytesPerSecond: int64 }),
  }),
  BlockJobPivoting: fact(1, {
    meaning: 'From here on the target is the disk, whatever dies: written before the hypervisor is told to finalize.',
    data: v.object({ jobId: v.string(), from: v.string(), to: v.string() }),
  }),
  BlockJobFinalizing: fact(1, {
    meaning: 'A job without pivot is about to change the chain: written before the hypervisor is told to finalize.',
    data: jobOnly,
  }),
  BlockJobPivoted: fact(1, {
    meaning:
      "The disk is the target; the layers above it left the chain. frozenMs: how long the guest's writes were held; null where no daemon saw it from the beginning.",
    data: v.object({
      jobId: v.string(),
      disk: v.string(),
      chain: v.array(v.number()),
      frozenMs: v.nullable(v.number()),
      settledBy: v.picklist(['hypervisor', 'record']),
    }),
  }),
  BlockJobCompleted: fact(1, {
    meaning: 'A pull or an inactive commit ended well; the merged layers left the chain.',
    data: v.object({
      jobId: v.string(),
      disk: v.string(),
      chain: v.array(v.number()),
      files: v.array(v.object({ index: v.number(), file: fileIdentity })),
    }),
  }),
  BlockJobFailed: fact(1, {
    meaning: 'The job ended with an error; the chain is as before, images between base and top may be invalid.',
    data: v.object({ jobId: v.string(), error: v.string() }),
  }),
  BlockJobCancelled: fact(1, {
    meaning: 'The job ended on request without a pivot; images between base and top may be invalid.',
    data: v.object({ jobId: v.string(), invalid: v.array(v.string()) }),
  }),
  BlockJobLost: fact(1, {
    meaning: 'What became of the job cannot be decided; the chain is taken from the facts.',
    data: v.object({ jobId: v.string(), why: v.string() }),
  }),
}

/** Union of {@link blockJobFacts}. */
export type BlockJobEvent = FactsOf<typeof blockJobFacts>
