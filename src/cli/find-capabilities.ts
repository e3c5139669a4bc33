import type { EmulatorRow } from '../../projections/emulators.ts'
import { alternatives } from './closest-names.ts'
import { CliError } from './cli-error.ts'
import type { History } from './history.ts'

/** A version of the row of an emulator. */
export type EmulatorVersion = EmulatorRow & {
  readonly from_position: bigint
  readonly to_position: bigint | null
  readonly [column: string]: unknown
}

/**
 * The row of a capability version, or of an emulator by its path or the last part of it, as it was at a position (null = the latest there ever was).
 * Throws {@link CliError} with the closest names where there is none.
 */
export async function findCapabilities(
  history: History,
  wanted: string,
  position: bigint | null = null,
): Promise<EmulatorVersion> {
  const [row] = await history.rows<EmulatorVersion>(
    `select * from emulators where (caps_id = $1::text or binary_path = $1::text or binary_path like '%/' || $1::text)
        and ($2::int8 is null or from_position <= $2::int8 and (to_position is null or to_position > $2::int8))
      order by (to_position is null) desc, from_position desc limit 1`,
    [wanted, position],
  )
  if (row !== undefined) return row
  const known = await history.rows<{ name: string }>(
    'select distinct binary_path as name from emulators union select caps_id from emulators order by 1 limit 1000',
  )
  const names = known.map(({ name }) => name)
  const when = position === null ? '' : ` at @${position}`
  throw new CliError(
    `Cannot find "${wanted}"${when}: it is neither a capability version nor a probed emulator${alternatives(wanted, names)}`,
  )
}

/** The recorded conversation of a version. Throws {@link CliError} where no probe ever succeeded. */
export async function conversationOf(history: History, row: EmulatorVersion): Promise<string> {
  if (row.conversation_sha256 !== '') return await history.text(row.conversation_sha256)
  throw new CliError(`Cannot read what "${row.binary_path}" answered: no probe of it succeeded, ${row.error ?? ''}`)
}
