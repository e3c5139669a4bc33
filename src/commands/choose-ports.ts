import { createServer } from 'node:net'
import type { DomainDef } from '../conf/domain-def.ts'
import { Fault, isFault } from '../util/fault.ts'
import type { Host } from './host.ts'

type Vnc = Extract<DomainDef['devices']['graphics'][number], { readonly type: 'vnc' }>

/** TCP ports for the VNC displays of a definition, in its order: the stated one, or the first that no domain has and nobody listens on. */
export async function choosePorts(
  host: Pick<Host, 'reads' | 'vncPorts'>,
  definition: DomainDef,
): Promise<readonly number[]> {
  const chosen: number[] = []
  for (const display of definition.devices.graphics) {
    if (display.type !== 'vnc') continue
    chosen.push(statedPort(display) ?? (await firstFree(host, chosen)))
  }
  return chosen
}

/** Whether a refused claim is that of a port that another start took between the choice and its claim: choosing again helps. */
export function isTakenMeanwhile(error: unknown, definition: DomainDef): boolean {
  if (!isFault(error, 'resource_busy') || !/^\d+$/.test(error.subject ?? '')) return false
  const stated = definition.devices.graphics.flatMap((display) => (display.type === 'vnc' ? statedPort(display) : []))
  return !stated.some((port) => String(port) === error.subject)
}

function statedPort(display: Vnc): number | null {
  return display.port !== undefined && display.port > 0 && display.autoport !== true ? display.port : null
}

async function firstFree(host: Pick<Host, 'reads' | 'vncPorts'>, chosen: readonly number[]): Promise<number> {
  const { first, last } = host.vncPorts
  for (let port = first; port <= last; port++) {
    if (chosen.includes(port) || host.reads.holdersOf('port', String(port)).length > 0) continue
    if (await canListen(port)) return port
  }
  throw new Fault('operation_failed', `Cannot find a port for a VNC display: all from ${first} to ${last} are in use`)
}

/** Whether a port of the loopback interface is free right now; the claim in the log keeps other domains away from it. */
async function canListen(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const server = createServer()
  server.once('error', () => resolve(false))
  server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)))
  return await promise
}
