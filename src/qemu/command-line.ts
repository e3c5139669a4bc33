import { unstartable } from '../conf/unstartable.ts'
import { characterFamily } from './command-line-characters.ts'
import { controllerFamily } from './command-line-controllers.ts'
import { cpuFamily } from './command-line-cpu.ts'
import { graphicsFamily, inputFamily, soundFamily, videoFamily } from './command-line-display.ts'
import { diskFamily } from './command-line-disks.ts'
import {
  actionFamily,
  bootFamily,
  clockFamily,
  machineFamily,
  processFamily,
  sizeFamily,
} from './command-line-machine.ts'
import { networkFamily } from './command-line-network.ts'
import {
  type CommandLineFamily,
  type CommandLineRequest,
  type DeviceArgument,
  optionText,
  unsupported,
} from './command-line-parts.ts'
import { balloonFamily, panicFamily, rngFamily, watchdogFamily } from './command-line-small-devices.ts'
import { checkSocketPath } from './qmp-client.ts'

/** Everything a command line consists of, in its order. A new kind of device is a new row. */
const families: readonly CommandLineFamily[] = [
  processFamily,
  machineFamily,
  cpuFamily,
  sizeFamily,
  clockFamily,
  bootFamily,
  actionFamily,
  controllerFamily,
  diskFamily,
  networkFamily,
  characterFamily,
  inputFamily,
  graphicsFamily,
  soundFamily,
  videoFamily,
  watchdogFamily,
  balloonFamily,
  rngFamily,
  panicFamily,
]

/**
 * Arguments with which QEMU runs a definition, CPUs stopped. Pure: everything it depends on stands in the request. Throws Fault (`config_unsupported`)
 * naming the element when something of the definition cannot be realised; nothing is left out in silence.
 */
export function buildCommandLine(request: CommandLineRequest): readonly string[] {
  const [obstacle] = unstartable(request.definition)
  if (obstacle !== undefined) throw unsupported(obstacle.path.replace(/^domain\//, ''), obstacle.why)
  checkSocketPath(request.paths.monitor)
  const parts = families.map((family) => family(request))
  const devices = parts.flatMap((part) => part.devices)
  const ordered = devices.toSorted((a, b) => placeInOrder(a) - placeInOrder(b))
  return [
    ...parts.flatMap((part) => part.options),
    ...ordered.flatMap(({ driver, properties }) => ['-device', optionText(driver, properties)]),
  ]
}

// QEMU gives a device without an address the next free slot at once, so stated addresses come first; bridges and
// controllers come before what is plugged into them.
function placeInOrder({ role, properties }: DeviceArgument): number {
  if (role === 'bridge') return 0
  if (properties['addr'] !== undefined) return 1
  return role === 'controller' ? 2 : 3
}
