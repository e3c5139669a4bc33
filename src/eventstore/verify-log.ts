import { BlobCheck, type BlobCounts, type BlobNames } from './blob-check.ts'
import { BlockCheck } from './block-check.ts'
import { CheckpointCheck } from './checkpoint-check.ts'
import { EdgeCheck } from './edge-check.ts'
import { ErasureCheck } from './erasure-check.ts'
import { EventCheck } from './event-check.ts'
import { leafFormat } from './event-leaf.ts'
import { type LogFinding, LogFindings } from './log-finding.ts'
import { type LogRow, readLogRows } from './log-origin.ts'
import type { LogSource } from './log-tables.ts'
import type { NoteVerifier } from './signed-note.ts'
import { TileCheck } from './tile-check.ts'
import type { TrustedStart } from './trusted-start.ts'
import { TreeCheck } from './tree-check.ts'
import { NameTables } from './verify-names.ts'

/** How to verify. */
export interface VerifyOptions {
  /** Only these keys may have signed checkpoints; null or absent: those that the log itself names. */
  readonly trusted?: readonly NoteVerifier[] | null
  /** Begins after what a checkpoint from elsewhere vouches for, instead of at position 0. */
  readonly start?: TrustedStart | null
  /** Which big texts events name; not given: that is not checked. */
  readonly blobNames?: BlobNames
  readonly signal?: AbortSignal
  /** Hears now and then how many events are done. */
  readonly onProgress?: (done: bigint) => void
}

/** What a verification came to. */
export interface VerifyReport {
  readonly findings: readonly LogFinding[]
  /** All findings, those that are not in the list included. */
  readonly count: number
  readonly firstBadPosition: bigint | null
  /** Events and commits that were recomputed, from which position on. */
  readonly from: bigint
  readonly events: bigint
  readonly commits: bigint
  readonly streams: number
  readonly checkpoints: number
  readonly erased: number
  readonly blobs: number
  /** Big texts that no event names: harmless, but of no use; null where that is not known. */
  readonly unnamedBlobs: number | null
  /** Size and root of the tree as recomputed. */
  readonly size: bigint
  readonly root: Uint8Array
  readonly log: LogRow | null
  /** What could not be checked, and why. */
  readonly notes: readonly string[]
}

/** Recomputes a log from its rows and compares every column with what follows from the others. A row is trusted for nothing. */
export async function verifyLog(source: LogSource, options: VerifyOptions = {}): Promise<VerifyReport> {
  const findings = new LogFindings()
  const notes: string[] = []
  const names = await NameTables.load(source, findings)
  const checkpoints = await CheckpointCheck.load(source, { findings, trusted: options.trusted ?? null })
  const [log, ...others] = await readLogRows(source)
  const isBound = log !== undefined && checkpoints.compareLog(log)
  for (const other of others) {
    findings.add({
      table: 'log',
      key: other.logId,
      columns: ['log_id'],
      position: null,
      text: 'the log has a second row of its own',
    })
  }
  const tiles = new TileCheck(source, { findings, checkpoints })
  const erasures = new ErasureCheck(findings)
  const blobs = new BlobCheck(findings, options.blobNames ?? null)
  const blocks = {
    types: new BlockCheck(findings, 'type_block'),
    categories: new BlockCheck(findings, 'category_block'),
  }
  const events = new EventCheck({ names, findings, erasures, blobs, blocks })
  const edges = await EdgeCheck.load(source, findings)
  const { start = null, signal = null, onProgress = null } = options
  const parts = { source, findings, names, tiles, edges, checkpoints, events, start, signal, onProgress }
  const walked = await new TreeCheck(parts).walk()
  compareLogRow(log ?? null, { findings, genesisUs: walked.genesisUs, isBound, notes })
  let texts: BlobCounts = { blobs: 0, unnamed: 0 }
  if (walked.isWhole) {
    names.finish(findings)
    erasures.finish(walked.from)
    await tiles.finish()
    texts = await blobs.finish(source)
    await blocks.types.finish(source, walked.from)
    await blocks.categories.finish(source, walked.from)
  } else {
    notes.push(`rows are missing: nothing after position ${walked.size - 1n} could be recomputed`)
  }
  await tiles.close()
  const { count, firstPosition, list } = findings
  return {
    findings: list,
    count,
    firstBadPosition: firstPosition,
    from: walked.from,
    events: walked.size - walked.from,
    commits: walked.commits,
    streams: names.streams.length,
    checkpoints: checkpoints.verified,
    erased: erasures.count,
    blobs: texts.blobs,
    unnamedBlobs: texts.unnamed,
    size: walked.size,
    root: walked.root,
    log: log ?? null,
    notes,
  }
}

/** The log's own row: signed with every checkpoint; its time is that of the genesis commit, too. */
function compareLogRow(
  log: LogRow | null,
  about: { findings: LogFindings; genesisUs: bigint | null; isBound: boolean; notes: string[] },
): void {
  const { findings, genesisUs, isBound, notes } = about
  if (log === null) {
    findings.add({ table: 'log', key: '', columns: ['log_id'], position: null, text: 'the log has no row of its own' })
    return
  }
  if (!isBound)
    notes.push('the log has no signed checkpoint: its own row (log_id, host_id, partition_events) stands for itself')
  if (log.format !== leafFormat && !isBound) {
    const text = `the log has the format ${log.format}, its leaves have ${leafFormat}`
    findings.add({ table: 'log', key: log.logId, columns: ['format'], position: null, text })
  }
  if (genesisUs === null || genesisUs === log.createdAtUs) return
  const isLogWrong = findings.list.some(({ table, columns }) => table === 'log' && columns.includes('created_at_us'))
  if (isLogWrong) return
  const text = `commit 0 is stamped ${genesisUs}, the log was made at ${log.createdAtUs}`
  const tables = isBound ? (['commit'] as const) : (['commit', 'log'] as const)
  for (const table of tables) {
    const columns = [table === 'commit' ? 'at_us' : 'created_at_us']
    findings.add({ table, key: table === 'commit' ? '0' : log.logId, columns, position: null, text })
  }
}
