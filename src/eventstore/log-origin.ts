import { fieldsOf, type LogSource } from './log-tables.ts'

/** The log's own row. */
export interface LogRow {
  readonly logId: string
  readonly hostId: string
  readonly createdAtUs: bigint
  readonly format: number
  readonly partitionEvents: bigint
}

/**
 * The name that checkpoints of a log bear in their first line, `chronovisor/<log id>/<host id>/<created>.<format>.<partition events>`.
 * It has every column of the log's own row, so that this row is signed, too.
 */
export function logOrigin({ logId, hostId, createdAtUs, format, partitionEvents }: LogRow): string {
  return `chronovisor/${logId}/${hostId}/${createdAtUs}.${format}.${partitionEvents}`
}

/** Reads the log's own rows: a log has one. */
export async function readLogRows(source: LogSource): Promise<readonly LogRow[]> {
  const rows: LogRow[] = []
  for await (const page of source.rows('log') ?? []) {
    for (const row of page) {
      const [logId, hostId, created, format, partition] = fieldsOf(row, 5)
      if (!logId || !hostId || !created || !format || !partition)
        throw new RangeError('the row of table log has a null')
      rows.push({
        logId: uuidText(logId),
        hostId: uuidText(hostId),
        createdAtUs: created.readBigInt64BE(),
        format: format.readInt32BE(),
        partitionEvents: partition.readBigInt64BE(),
      })
    }
  }
  return rows
}

/** The text form of the 16 bytes of a UUID. */
export function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
