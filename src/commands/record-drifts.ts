import type { FactOf } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import { newDrifts } from '../model/chain.ts'
import type { Host } from './host.ts'
import { type Context, domainIn, record } from './record.ts'

/** Records where the world differs from the log; what stands recorded already is not repeated, however often it is met. */
export async function recordDrifts(
  host: Host,
  context: Context,
  found: { readonly uuid: string; readonly drifts: readonly FactOf<'DriftDetected'>[] },
): Promise<void> {
  const { uuid, drifts } = found
  if (drifts.length === 0) return
  await record(host, context, {
    kind: 'fact',
    decide: (turn) => [{ stream: domainStream(uuid), facts: newDrifts(domainIn(turn, uuid).chains, drifts) }],
  })
}
