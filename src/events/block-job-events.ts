import * as v from 'valibot'
import { about, fact, type FactsOf, int64 } from './fact.ts'
import { fileIdentity, ownershipChange } from './shared-data.ts'

const jobId = about(v.string(), 'id of the job: that of the command that asked for it')
const disk = about(v.string(), 'target of the disk, such as vda')
const chain = about(
  v.array(about(v.number(), 'number of a layer')),
  'layers of the disk from here on, active image first',
)
const bytesPerSecond = about(int64, 'limit on its speed; 0 = no limit')
const jobOnly = v.object({ jobId })

/** Facts of block jobs; stream `domain-<uuid>`. The id of a job is the id of the command that asked for it. */
export const blockJobFacts = {
  BlockJobRequested: fact(1, {
    meaning:
      'A block job was asked for and is possible. Layers by index: base stays, top is merged; base -1 = pull everything.',
    data: v.object({
      jobId,
      disk,
      kind: about(v.picklist(['pull', 'commit', 'active_commit']), 'what the job does'),
      base: about(v.number(), 'layer that stays below; -1 = none, everything is pulled'),
      top: about(v.number(), 'uppermost layer that is merged'),
      onReady: about(v.picklist(['pivot', 'keep']), 'whether it pivots by itself when both sides are equal'),
      bytesPerSecond,
      owners: about(v.array(ownershipChange), 'files that are given to QEMU for the job'),
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
    data: v.object({ jobId, bytesPerSecond }),
  }),
  BlockJobPivoting: fact(1, {
    meaning: 'From here on the target is the disk, whatever dies: written before the hypervisor is told to finalize.',
    data: v.object({
      jobId,
      from: about(v.string(), 'path of the image that was active'),
      to: about(v.string(), 'path of the image that takes its place'),
    }),
  }),
  BlockJobFinalizing: fact(1, {
    meaning: 'A job without pivot is about to change the chain: written before the hypervisor is told to finalize.',
    data: jobOnly,
  }),
  BlockJobPivoted: fact(1, {
    meaning: 'The disk is the target; the layers above it left the chain.',
    data: v.object({
      jobId,
      disk,
      chain,
      frozenMs: about(
        v.nullable(v.number()),
        "how long the guest's writes were held; null = no daemon saw it from the beginning",
      ),
      settledBy: about(
        v.picklist(['hypervisor', 'record']),
        'who said so: the hypervisor, or the record of a pivot that nothing can take back',
      ),
    }),
  }),
  BlockJobCompleted: fact(1, {
    meaning: 'A pull or an inactive commit ended well; the merged layers left the chain.',
    data: v.object({
      jobId,
      disk,
      chain,
      files: about(
        v.array(
          v.object({
            index: about(v.number(), 'number of the layer within the domain'),
            file: about(fileIdentity, 'the file as the job left it'),
          }),
        ),
        'files that the job has written',
      ),
    }),
  }),
  BlockJobFailed: fact(1, {
    meaning: 'The job ended with an error; the chain is as before, images between base and top may be invalid.',
    data: v.object({ jobId, error: about(v.string(), 'what the hypervisor said') }),
  }),
  BlockJobCancelled: fact(1, {
    meaning: 'The job ended on request without a pivot; images between base and top may be invalid.',
    data: v.object({
      jobId,
      invalid: about(v.array(about(v.string(), 'path of an image')), 'images whose content is no longer what it was'),
    }),
  }),
  BlockJobLost: fact(1, {
    meaning: 'What became of the job cannot be decided; the chain is taken from the facts.',
    data: v.object({ jobId, why: about(v.string(), 'what is missing to decide it') }),
  }),
}

/** Union of {@link blockJobFacts}. */
export type BlockJobEvent = FactsOf<typeof blockJobFacts>
