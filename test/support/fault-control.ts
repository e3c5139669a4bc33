import { createServer, request, type IncomingMessage, type Server } from 'node:http'
import { join } from 'node:path'
import * as v from 'valibot'
import type { Driver } from '../../src/driver/driver.ts'
import type { Images } from '../../src/driver/images.ts'
import { type Fault, faultSchema, type PlannedFault } from './fault-actions.ts'
import type { IntentGate } from './intent-gate.ts'

const chainsSchema = v.array(v.object({ target: v.string(), layers: v.array(v.object({ path: v.string() })) }))
const jobsSchema = v.array(v.object({ jobId: v.string(), status: v.string() }))

/** Longest wait for one answer of a hypervisor that a test asks for. */
const answerMs = 10_000

/** Serves the questions of {@link FaultControl} beside a faulty daemon: what its hypervisor itself says, and faults to plan. */
export function serveFaultControl(parts: {
  readonly socketDir: string
  readonly planned: PlannedFault
  readonly intents: IntentGate
  readonly hypervisor: () => { readonly driver: Driver; readonly images: Images }
}): Server {
  const answer = async (path: string, body: string): Promise<unknown> => {
    const [, verb, subject = ''] = path.split('/')
    const { driver, images } = parts.hypervisor()
    switch (verb) {
      case 'plan':
        parts.planned.plan(v.parse(v.nullable(faultSchema), JSON.parse(body)))
        return null
      case 'release':
        parts.planned.release()
        return null
      case 'fired':
        return parts.planned.fired
      case 'chains':
        return await driver.queryChains(subject, AbortSignal.timeout(answerMs))
      case 'jobs':
        return await driver.queryJobs(subject, AbortSignal.timeout(answerMs))
      case 'files-opened':
        return images.filesOpened
      case 'hold-intents':
        parts.intents.close()
        return null
      case 'pass-intents':
        parts.intents.open()
        return null
      case 'waiting-intents':
        return parts.intents.waiting
      default:
        throw new Error(`Cannot answer "${path}": there is no such question`)
    }
  }
  const server = createServer((incoming, reply) => {
    readAll(incoming)
      .then(async (body) => await answer(incoming.url ?? '', body))
      .then(
        (value) =>
          reply.end(JSON.stringify({ value }, (_key, one: unknown) => (typeof one === 'bigint' ? `${one}` : one))),
        (error: unknown) =>
          reply.end(JSON.stringify({ error: error instanceof Error ? error.message : String(error) })),
      )
  })
  server.listen(controlSocket(parts.socketDir))
  return server.unref()
}

/** Asks a faulty daemon what no client can: plans faults, and asks its hypervisor past all read models. */
export class FaultControl {
  readonly #path: string

  constructor(socketDir: string) {
    this.#path = controlSocket(socketDir)
  }

  async plan(fault: Fault | null): Promise<void> {
    await this.#ask('/plan', JSON.stringify(fault))
  }

  /** Lets a fault that hangs go on. */
  async release(): Promise<void> {
    await this.#ask('/release')
  }

  /** The point at which the planned fault happened, null while it did not. */
  async fired(): Promise<string | null> {
    return v.parse(v.nullable(v.string()), await this.#ask('/fired'))
  }

  /** The chain of each disk by target, active image first, as QEMU's named block nodes say. */
  async chains(uuid: string): Promise<Readonly<Record<string, readonly string[]>>> {
    const chains = v.parse(chainsSchema, await this.#ask(`/chains/${uuid}`))
    return Object.fromEntries(chains.map(({ target, layers }) => [target, layers.map((layer) => layer.path)]))
  }

  async jobs(uuid: string): Promise<readonly { readonly jobId: string; readonly status: string }[]> {
    return v.parse(jobsSchema, await this.#ask(`/jobs/${uuid}`))
  }

  async filesOpened(): Promise<number> {
    return v.parse(v.number(), await this.#ask('/files-opened'))
  }

  /** From now on tasks wait before their intents are recorded. */
  async holdIntents(): Promise<void> {
    await this.#ask('/hold-intents')
  }

  /** Lets the tasks that wait go on, and others pass. */
  async passIntents(): Promise<void> {
    await this.#ask('/pass-intents')
  }

  async waitingIntents(): Promise<number> {
    return v.parse(v.number(), await this.#ask('/waiting-intents'))
  }

  async #ask(path: string, body = ''): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const call = request({ socketPath: this.#path, path, method: 'POST', timeout: 2 * answerMs }, resolve)
    call.on('error', reject)
    call.end(body)
    const reply = v.parse(replySchema, JSON.parse(await readAll(await promise)))
    if (reply.error !== undefined) throw new Error(`The faulty daemon cannot answer ${path}: ${reply.error}`)
    return reply.value
  }
}

const replySchema = v.object({ value: v.optional(v.unknown()), error: v.optional(v.string()) })

function controlSocket(socketDir: string): string {
  return join(socketDir, 'control')
}

async function readAll(message: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of message) if (piece instanceof Buffer) pieces.push(piece)
  return Buffer.concat(pieces).toString('utf8')
}
