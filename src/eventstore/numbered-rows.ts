/** A row with the number by which others refer to it: rows are numbered from 0 without a gap. */
export interface Numbered {
  readonly id: bigint
}

/** A row whose number is not its own. `instead`: the number that is missing, where only one is. */
export interface Misnumbered<Row> {
  readonly row: Row
  readonly instead: bigint | null
}

/** Rows put into the places of their numbers, and those that have none. */
export interface Placed<Row> {
  /** By number; null where no row has it. */
  readonly rows: readonly (Row | null)[]
  readonly misnumbered: readonly Misnumbered<Row>[]
  readonly missing: readonly bigint[]
}

/**
 * Puts rows into their places. So many rows have the numbers below their count: any other number, or one that is there already, was
 * changed. Where only one is missing its row must be the one too many. `isBefore` tells by something else which of two rows comes first.
 */
export function placeRows<Row extends Numbered>(
  given: readonly Row[],
  isBefore: (a: Row, b: Row) => boolean,
): Placed<Row> {
  const rows = Array.from<Row | null>({ length: given.length }).fill(null)
  const strays: Row[] = []
  for (const row of given) {
    const at = row.id >= 0n && row.id < BigInt(rows.length) ? Number(row.id) : -1
    const held = rows[at]
    if (at === -1) strays.push(row)
    else if (held === null || held === undefined) rows[at] = row
    else {
      const before = rows[at - 1] ?? null
      const heldFits = before === null || isBefore(before, held)
      const isHeldOwner = heldFits && !(isBefore(row, held) && (before === null || isBefore(before, row)))
      strays.push(isHeldOwner ? row : held)
      rows[at] = isHeldOwner ? held : row
    }
  }
  const missing = rows.flatMap((row, at) => (row === null ? [BigInt(at)] : []))
  const [only] = missing
  const instead = missing.length === 1 && only !== undefined ? only : null
  const [stray] = strays
  if (instead !== null && stray !== undefined) rows[Number(instead)] = stray
  return { rows, misnumbered: strays.map((row) => ({ row, instead })), missing: instead === null ? missing : [] }
}
