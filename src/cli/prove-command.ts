import { writeFileSync } from 'node:fs'
import pg from 'pg'
import * as v from 'valibot'
import { openCheckpoint, type OpenedCheckpoint } from '../eventstore/checkpoint.ts'
import { formatConsistency } from '../eventstore/consistency-text.ts'
import { formatEventProof } from '../eventstore/event-proof.ts'
import { LogReads } from '../eventstore/log-reads.ts'
import { clientConfig } from '../eventstore/postgres-client.ts'
import {
  type ProofSource,
  proveConsistency,
  proveEvent,
  readCheckpoint,
  readKeys,
  type StoredCheckpoint,
} from '../eventstore/prove-event.ts'
import { InvalidNoteError } from '../eventstore/signed-note.ts'
import { signedNow } from './checkpoint-command.ts'
import { CliError } from './cli-error.ts'
import { isRunning, readDaemonFile } from './daemon-file.ts'
import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'
import { type LogDatabase, openLogDatabase } from './log-database.ts'
import { parseMoment } from './moment.ts'
import { readTextFile } from './trusted-keys.ts'

const optionsSchema = v.object({ out: v.optional(v.string()), withData: v.optional(v.boolean(), false) })

/** `chronovisor prove`: a text that proves an event to somebody who has only the key of the log. */
export async function proveCommand(invocation: Invocation): Promise<number> {
  const { config, args } = invocation
  const { out: file, withData } = v.parse(optionsSchema, invocation.options)
  const position = positionOf(args[0] ?? '', invocation.nowUs())
  await using log = await ProvenLog.open(config)
  const [event] = await Array.fromAsync(log.source.reader.readAll({ from: position, maxCount: 1 }))
  if (event === undefined) throw new CliError(`Cannot prove @${position}: the log has no such event`)
  const stored = await log.checkpointOver(position + 1n)
  const proof = await proveEvent(log.source, { event, stored, disclose: withData })
  return deliver(invocation, {
    file,
    text: formatEventProof(proof),
    what: `@${position}, ${event.type} on ${event.stream}`,
  })
}

/** `chronovisor prove consistency`: a text that proves that the log of one checkpoint is the beginning of that of another. */
export async function proveConsistencyCommand(invocation: Invocation): Promise<number> {
  const { config, args } = invocation
  const { out: file } = v.parse(optionsSchema, invocation.options)
  await using log = await ProvenLog.open(config)
  const older = await log.checkpointIn(args[0] ?? '')
  const newer = args[1] === undefined ? await log.newest() : await log.checkpointIn(args[1])
  if (older.size > newer.size) {
    throw new CliError(
      `Cannot prove that a log of ${newer.size} events continues one of ${older.size}: name the older first`,
    )
  }
  const path = await proveConsistency(log.source, { oldSize: older.size, newSize: newer.size })
  const text = formatConsistency({ older: older.note, newer: newer.note, path })
  return deliver(invocation, { file, text, what: `${newer.size} events continue ${older.size}` })
}

/** The log, opened for proofs. */
class ProvenLog implements AsyncDisposable {
  readonly source: ProofSource
  readonly #database: LogDatabase
  readonly #pool: pg.Pool
  readonly #config: Invocation['config']

  private constructor(config: Invocation['config'], database: LogDatabase) {
    const { options = '', ...rest } = clientConfig(database.address, 'chronovisor cli')
    this.#config = config
    this.#database = database
    this.#pool = new pg.Pool({ ...rest, options: `${options} -c default_transaction_read_only=on`, max: 2 })
    this.#pool.on('error', () => undefined) // who uses a connection that broke hears of it
    this.source = { client: this.#pool, reader: new LogReads(this.#pool) }
  }

  static async open(config: Invocation['config']): Promise<ProvenLog> {
    return new ProvenLog(config, await openLogDatabase(config))
  }

  /** The newest stored checkpoint over so many events; a running daemon is asked to sign one where there is none. */
  async checkpointOver(size: bigint): Promise<StoredCheckpoint> {
    const stored = await readCheckpoint(this.source.client, { overAtLeast: size })
    if (stored !== null) return stored
    const daemon = this.#config.database === null ? readDaemonFile(this.#config.socketDir) : null
    if (daemon !== null && isRunning(daemon)) {
      await signedNow(this.#config)
      const signed = await readCheckpoint(this.source.client, { overAtLeast: size })
      if (signed !== null) return signed
    }
    throw new CliError(`No checkpoint was signed over ${size} events yet: the daemon signs them, also when it stops`)
  }

  async newest(): Promise<OpenedCheckpoint> {
    const { note, key } = await this.checkpointOver(0n)
    return openCheckpoint(note, [key])
  }

  /** A signed checkpoint of this log from a file. */
  async checkpointIn(file: string): Promise<OpenedCheckpoint> {
    try {
      return openCheckpoint(readTextFile(file), await readKeys(this.source.client))
    } catch (error) {
      if (!(error instanceof InvalidNoteError)) throw error
      throw new CliError(`Cannot use "${file}": ${error.message}`, { cause: error })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end()
    await this.#database[Symbol.asyncDispose]()
  }
}

function positionOf(text: string, nowUs: bigint): bigint {
  const moment = parseMoment(/^\d+$/.test(text) ? `@${text}` : text, nowUs)
  if (moment.kind === 'position') return moment.position
  throw new CliError(`Cannot prove "${text}": name an event by its position, such as @182733`)
}

function deliver(
  { out }: Invocation,
  { file, text, what }: { readonly file: string | undefined; readonly text: string; readonly what: string },
): number {
  if (file !== undefined) {
    writeFileSync(file, text)
    if (out.isJson) out.document({ file, proves: what })
    else out.line(`${file} proves ${what}; \`chronovisor verify-proof ${file}\` checks it without this log`)
  } else if (out.isJson) {
    out.document({ proof: text, proves: what })
  } else {
    out.line(text.trimEnd())
  }
  return exitCode.found
}
