import { machine } from 'node:os'
import { Fault } from '../util/fault.ts'
import type { Host } from './host.ts'

/** The emulator of a definition that names none: the one for its architecture, else the host's own. */
export async function defaultEmulator(host: Pick<Host, 'driver'>, arch: string | undefined): Promise<string> {
  const found = await host.driver.listEmulators()
  if (arch === undefined) {
    const own = found.find((path) => path.endsWith(`/qemu-system-${machine()}`)) ?? found[0]
    if (own !== undefined) return own
    throw new Fault('config_unsupported', 'Cannot choose an emulator: none is installed on this host')
  }
  const suffix = `qemu-system-${arch === 'i686' ? 'i386' : arch}`
  const match = host.driver.kind === 'test' ? found[0] : found.find((path) => path.endsWith(`/${suffix}`))
  if (match !== undefined) return match
  throw new Fault(
    'config_unsupported',
    `Cannot choose an emulator for architecture "${arch}": none is installed, found are ${found.join(', ') || 'none'}`,
  )
}
