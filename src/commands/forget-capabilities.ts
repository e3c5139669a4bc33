import { Fault } from '../util/fault.ts'
import type { Caller } from './caller.ts'
import type { Host } from './host.ts'
import { runCommand } from './run-command.ts'

/**
 * Throws away the capability version of one emulator, or of all, at an operator's request. A version that is invalid
 * already is left alone; a named emulator must have one that is valid. Returns how many were thrown away.
 */
export async function forgetCapabilities(
  host: Host,
  caller: Caller,
  { binary }: { readonly binary: string | null },
): Promise<number> {
  return await runCommand(
    host,
    { caller, uuid: null, ...(binary === null ? {} : { subject: binary }) },
    async (task) => {
      if (binary !== null) requireValid(host, binary)
      const valid = host.reads.emulators().filter((row) => row.state === 'valid')
      const wanted = valid.filter((row) => binary === null || row.binary_path === binary)
      for (const { binary_path: path, caps_id: capsId } of wanted) {
        const stale = { reason: 'operator_request', was: capsId, is: 'forgotten' } as const
        await host.caps.invalidate(
          { binary: path, capsId },
          { stale, detectedBy: caller.procedure, context: task.context },
        )
      }
      return wanted.length
    },
  )
}

function requireValid(host: Host, binary: string): void {
  const row = host.reads.emulator(binary)
  if (row?.state === 'valid') return
  const known = host.reads.emulators().map((one) => `"${one.binary_path}"`)
  const state =
    row === undefined
      ? `it was never probed, known are ${known.join(', ') || 'none'}`
      : `it is ${row.state}, it must be valid`
  throw new Fault('invalid_arg', `Cannot forget the capabilities of "${binary}": ${state}`, { subject: binary })
}
