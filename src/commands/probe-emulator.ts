import { Fault } from '../util/fault.ts'
import type { Caller } from './caller.ts'
import type { Host } from './host.ts'
import { runCommand } from './run-command.ts'

/** An emulator as `caps probe` shows it. */
export interface KnownEmulator {
  readonly binary: string
  readonly state: 'valid' | 'invalidated' | 'unprobeable' | 'never probed'
}

/** What became of a probe that somebody asked for. */
export interface ProbeOutcome {
  readonly capsId: string
  /** False where the emulator answered as it did before: the version lives on. */
  readonly isNew: boolean
}

/** The emulators of this host and those that the log knows, by path; none of them is run. */
export async function knownEmulators(host: Pick<Host, 'driver' | 'reads'>): Promise<readonly KnownEmulator[]> {
  const recorded = host.reads.emulators().map((row) => [row.binary_path, row.state] as const)
  const found = (await host.driver.listEmulators()).map((binary) => [binary, 'never probed'] as const)
  return [...new Map<string, KnownEmulator['state']>([...found, ...recorded])]
    .map(([binary, state]) => ({ binary, state }))
    .toSorted((a, b) => (a.binary < b.binary ? -1 : 1))
}

/** Asks an emulator now, whether or not it has a valid version, and also after a probe that failed. */
export async function probeEmulatorNow(
  host: Host,
  caller: Caller,
  { binary }: { readonly binary: string },
): Promise<ProbeOutcome> {
  return await runCommand(host, { caller, uuid: null, subject: binary }, async (task) => {
    const known = await knownEmulators(host)
    if (!binary.startsWith('/') && !known.some((one) => one.binary === binary))
      throw new Fault('invalid_arg', `Cannot probe "${binary}": it is no absolute path`, { subject: binary })
    const before = host.reads.emulator(binary)?.caps_id ?? null
    await host.caps.probe(binary, task.context)
    const capsId = host.reads.emulator(binary)?.caps_id ?? ''
    return { capsId, isNew: capsId !== before }
  })
}
