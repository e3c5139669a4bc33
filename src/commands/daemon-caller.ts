import type { Actor } from '../events/metadata.ts'
import { uuidV7 } from '../util/uuid-v7.ts'
import type { Context } from './record.ts'

const self: Actor = {
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  pid: process.pid,
  program: 'chronovisor',
  address: 'local',
  authentication: 'self',
}

/** The context of what the daemon does by itself; `procedure` says as which part of it. */
export function daemonContext(
  procedure: string,
  links: { readonly correlationId?: string; readonly causationId?: string } = {},
): Context {
  const commandId = uuidV7()
  return {
    caller: { actor: self, procedure, reason: null, onReady: 'keep' },
    commandId,
    correlationId: links.correlationId ?? commandId,
    causationId: links.causationId ?? null,
    capsId: null,
  }
}
