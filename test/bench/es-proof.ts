import { randomUUID } from 'node:crypto'
import { eventLeaf } from '../../src/eventstore/event-leaf.ts'
import { DatabaseSource } from '../../src/eventstore/database-source.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { appendLeaves, emptyTree, treeRoot } from '../../src/eventstore/tree-edge.ts'
import { verifyLog } from '../../src/eventstore/verify-log.ts'

/** Verifies a whole log; gives events per second of processor time of this process. Throws where the log is not clean. */
export async function measureVerify(address: PostgresAddress): Promise<number> {
  await using source = await DatabaseSource.open(address)
  const before = process.cpuUsage()
  const report = await verifyLog(source)
  const used = process.cpuUsage(before)
  if (report.count > 0) throw new Error(`The log is not clean: ${report.findings[0]?.text ?? ''}`)
  return Number(report.events) / ((used.user + used.system) / 1e6)
}

/** Microseconds that hashing an event of the batch bar costs: leaf, its share of the tree, and of the root of each commit. */
export function measureHashing(batches: number): number {
  const data = Buffer.from(JSON.stringify({ k: 1, s: 1, n: 1, d: 'x'.repeat(258) }))
  const meta = Buffer.from('{}')
  const events = Array.from({ length: 1_000 }, (_, at): RecordedEvent => {
    const place = { position: BigInt(at), stream: `bench-${at}`, revision: 0n, commitNo: 1n, epoch: 1 }
    return {
      ...place,
      type: 'Measured',
      schema: 1,
      eventId: randomUUID(),
      recordedAtUs: 1_700_000_000_000_000n,
      data,
      meta,
    }
  })
  let tree = emptyTree
  const batch = (): void => {
    tree = appendLeaves(tree, events.map(eventLeaf))
    treeRoot(tree)
  }
  for (let at = 0; at < 20; at += 1) batch()
  const before = process.cpuUsage()
  for (let at = 0; at < batches; at += 1) batch()
  const used = process.cpuUsage(before)
  return (used.user + used.system) / (batches * events.length)
}
