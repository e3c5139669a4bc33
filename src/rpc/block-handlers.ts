import type { BlockJobRow } from '../../projections/block-jobs.ts'
import type { DomainView, Reads } from '../commands/reads.ts'
import type { DiskSample, DomainSample } from '../driver/driver.ts'
import type { blockProcedures } from '../protocol/block-procedures.ts'
import type { TypedParameter } from '../protocol/typed-parameter.ts'
import type { DomainRef } from '../protocol/wire-types.ts'
import { Fault } from '../util/fault.ts'
import type { JobProgress } from './backend.ts'
import { type Call, refuseUnknownFlags, requireDomain } from './call.ts'
import type { Handlers } from './dispatcher.ts'
import { blockJobType } from './domain-callback.ts'
import { soon } from './soon.ts'

/** `virDomainBlockCommitFlags`, `...PullFlags`, `...RebaseFlags`, `...JobAbortFlags`, `...JobInfoFlags`, `...JobSetSpeedFlags`. */
const commitFlag = { shallow: 1, delete: 2, active: 4, relative: 8, bandwidthBytes: 16 } as const
const pullBandwidthBytes = 64
const abortFlag = { async: 1, pivot: 2 } as const
const jobBandwidthBytes = 1
const typedParameterStrings = 4
const mebibyte = 1024n * 1024n

/** Bandwidths are MiB per second unless a flag says bytes; none may overflow 63 bits. */
function bytesPerSecond(bandwidth: bigint, inBytes: boolean): bigint {
  const bytes = inBytes ? bandwidth : bandwidth * mebibyte
  if (bytes >= 2n ** 63n)
    throw new Fault('invalid_arg', `bandwidth must be less than ${2n ** 63n / mebibyte}, it is ${bandwidth}`)
  return bytes
}

/** The target of a disk that is named by its target or by the path of its active image. */
function targetOf(reads: Reads, domain: DomainView, disk: string): string {
  const chains = Object.entries(reads.chains(domain.uuid).byDisk)
  return chains.find(([target, layers]) => target === disk || layers[0]?.path === disk)?.[0] ?? disk
}

function disk({ reads }: Call, args: { readonly domain: DomainRef; readonly disk: string }) {
  const view = requireDomain(reads, args.domain)
  return { view, uuid: view.uuid, disk: targetOf(reads, view, args.disk) }
}

async function pull(
  call: Call,
  args: { domain: DomainRef; disk: string; base: string | null; bandwidth: bigint; flags: number },
) {
  const { uuid, disk: target } = disk(call, args)
  const speed = bytesPerSecond(args.bandwidth, (args.flags & pullBandwidthBytes) !== 0)
  await call.commands.pullBlocks(call.caller, { uuid, disk: target, base: args.base, bytesPerSecond: speed })
  return {}
}

/** Handlers of disks and block jobs. */
export const blockHandlers: Handlers<typeof blockProcedures, Call> = {
  domainGetBlockInfo(call, args) {
    refuseUnknownFlags(args.flags, 0, 'DOMAIN_GET_BLOCK_INFO')
    const { view, disk: target } = disk(call, args)
    return soon(call.domains.blockInfo(view, target), (info) => info)
  },
  domainBlockStats(call, args) {
    const sums = sumOf(diskSamples(call, args))
    const { readRequests, readBytes, writeRequests, writeBytes } = sums
    return { readRequests, readBytes, writeRequests, writeBytes, errors: -1n }
  },
  domainBlockStatsFlags(call, args) {
    refuseUnknownFlags(args.flags, typedParameterStrings, 'DOMAIN_BLOCK_STATS_FLAGS')
    const parameters = statParameters(sumOf(diskSamples(call, args)))
    if (args.maxParameters === 0) return { parameters: [], count: parameters.length }
    return { parameters: parameters.slice(0, Math.max(0, args.maxParameters)), count: 0 }
  },
  domainGetDiskErrors({ reads }, { domain, maxErrors, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_GET_DISK_ERRORS')
    const view = requireDomain(reads, domain)
    if (!view.active) throw new Fault('operation_invalid', 'domain is not running')
    // Without room the client asks how much it needs: one place per disk; no disk is known to have failed.
    return { errors: [], count: maxErrors === 0 ? Object.keys(reads.chains(view.uuid).byDisk).length : 0 }
  },
  domainBlockPull(call, args) {
    refuseUnknownFlags(args.flags, pullBandwidthBytes, 'DOMAIN_BLOCK_PULL')
    return pull(call, { ...args, base: null })
  },
  domainBlockRebase(call, args) {
    if ((args.flags & ~pullBandwidthBytes) !== 0) {
      throw new Fault(
        'argument_unsupported',
        `Cannot rebase with flags 0x${args.flags.toString(16)}: only pulling into the active image is served`,
      )
    }
    return pull(call, args)
  },
  async domainBlockCommit(call, args) {
    refuseUnknownFlags(args.flags, 31, 'DOMAIN_BLOCK_COMMIT')
    if ((args.flags & (commitFlag.delete | commitFlag.relative)) !== 0) {
      throw new Fault(
        'argument_unsupported',
        'Cannot commit with --delete or --keep-relative: merged files are left alone and named by absolute path',
      )
    }
    const { uuid, disk: target } = disk(call, args)
    await call.commands.commitBlocks(call.caller, {
      uuid,
      disk: target,
      base: args.base,
      top: args.top,
      active: (args.flags & commitFlag.active) !== 0,
      shallow: (args.flags & commitFlag.shallow) !== 0,
      bytesPerSecond: bytesPerSecond(args.bandwidth, (args.flags & commitFlag.bandwidthBytes) !== 0),
    })
    return {}
  },
  async domainBlockJobAbort(call, args) {
    refuseUnknownFlags(args.flags, abortFlag.async | abortFlag.pivot, 'DOMAIN_BLOCK_JOB_ABORT')
    const { uuid, disk: target } = disk(call, args)
    const pivot = (args.flags & abortFlag.pivot) !== 0
    await call.commands.endBlockJob(call.caller, {
      uuid,
      disk: target,
      pivot,
      wait: (args.flags & abortFlag.async) === 0,
    })
    return {}
  },
  domainGetBlockJobInfo(call, args) {
    refuseUnknownFlags(args.flags, jobBandwidthBytes, 'DOMAIN_GET_BLOCK_JOB_INFO')
    const { view, uuid, disk: target } = disk(call, args)
    if (!view.active) throw new Fault('operation_invalid', 'domain is not running')
    const job = call.reads.jobs(uuid).find((one) => one.disk === target)
    if (job === undefined) return { found: 0, type: 0, bandwidth: 0n, current: 0n, end: 0n }
    return jobInfo(job, call.domains.jobProgress(job.job_id), (args.flags & jobBandwidthBytes) !== 0)
  },
  async domainBlockJobSetSpeed(call, args) {
    refuseUnknownFlags(args.flags, jobBandwidthBytes, 'DOMAIN_BLOCK_JOB_SET_SPEED')
    const { uuid, disk: target } = disk(call, args)
    const speed = bytesPerSecond(args.bandwidth, (args.flags & jobBandwidthBytes) !== 0)
    await call.commands.setBlockJobSpeed(call.caller, { uuid, disk: target, bytesPerSecond: speed })
    return {}
  },
}

/**
 * What a client polls. Equal current and end mean "ready" to every client, so they are equal only then, and an empty job
 * counts as one byte.
 */
function jobInfo(job: BlockJobRow, progress: JobProgress | null, inBytes: boolean) {
  const ready = job.state === 'ready' || job.state === 'pivoting'
  const end = progress === null || progress.totalBytes === 0n ? 1n : progress.totalBytes
  const reached = progress === null || progress.currentBytes > end ? 0n : progress.currentBytes
  const speed = job.bytes_per_second
  return {
    found: 1,
    type: blockJobType[job.kind],
    bandwidth: inBytes ? speed : (speed + mebibyte - 1n) / mebibyte,
    current: ready ? end : reached === end ? end - 1n : reached,
    end,
  }
}

/** The last figures of one disk, or of all when its name is empty. */
function diskSamples(call: Call, args: { readonly domain: DomainRef; readonly disk: string }): readonly DiskSample[] {
  const { view, disk: target } = disk(call, args)
  if (!view.active) throw new Fault('operation_invalid', 'domain is not running')
  const sample: DomainSample | null = call.domains.sample(view.uuid)
  if (sample === null)
    throw new Fault('operation_failed', `Cannot read the statistics of domain "${view.name}": it was not sampled yet`)
  if (target === '') return sample.disks
  const found = sample.disks.filter((one) => one.target === target)
  if (found.length === 0) throw new Fault('invalid_arg', `invalid path: ${args.disk}`)
  return found
}

type DiskCounters = Omit<DiskSample, 'target' | 'capacityBytes' | 'allocationBytes'>
const zero: DiskCounters = {
  readRequests: 0n,
  readBytes: 0n,
  readTimeNs: 0n,
  writeRequests: 0n,
  writeBytes: 0n,
  writeTimeNs: 0n,
  flushRequests: 0n,
  flushTimeNs: 0n,
}

function sumOf(samples: readonly DiskSample[]): DiskCounters {
  return samples.reduce(
    (sum, one) => ({
      readRequests: sum.readRequests + one.readRequests,
      readBytes: sum.readBytes + one.readBytes,
      readTimeNs: sum.readTimeNs + one.readTimeNs,
      writeRequests: sum.writeRequests + one.writeRequests,
      writeBytes: sum.writeBytes + one.writeBytes,
      writeTimeNs: sum.writeTimeNs + one.writeTimeNs,
      flushRequests: sum.flushRequests + one.flushRequests,
      flushTimeNs: sum.flushTimeNs + one.flushTimeNs,
    }),
    zero,
  )
}

function statParameters(sum: DiskCounters): readonly TypedParameter[] {
  const rows: readonly (readonly [string, bigint])[] = [
    ['wr_bytes', sum.writeBytes],
    ['wr_operations', sum.writeRequests],
    ['rd_bytes', sum.readBytes],
    ['rd_operations', sum.readRequests],
    ['flush_operations', sum.flushRequests],
    ['wr_total_times', sum.writeTimeNs],
    ['rd_total_times', sum.readTimeNs],
    ['flush_total_times', sum.flushTimeNs],
  ]
  return rows.map(([field, value]) => ({ field, value: { kind: 'llong', value } }))
}
