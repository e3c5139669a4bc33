import {
  type CommandLineFamily,
  device,
  type DeviceArgument,
  optionText,
  pciPlace,
  unsupported,
  virtioVariant,
} from './command-line-parts.ts'

/** Id of the memory balloon, by which its statistics are read. */
export const balloonId = 'balloon0'

/** The memory balloon. */
export const balloonFamily: CommandLineFamily = ({ definition }) => {
  const { memballoon } = definition.devices
  if (memballoon === undefined || memballoon.model === 'none') return { options: [], devices: [] }
  if (memballoon.model === 'xen') throw unsupported('devices/memballoon', 'model "xen" is not supported')
  const properties = {
    id: balloonId,
    'deflate-on-oom': memballoon.autodeflate,
    'free-page-reporting': memballoon.freePageReporting,
    ...pciPlace(definition, memballoon.address),
  }
  return { options: [], devices: [device(`virtio-balloon-pci${virtioVariant(memballoon.model)}`, properties)] }
}

/** Sources of entropy. */
export const rngFamily: CommandLineFamily = ({ definition }) => {
  const options: string[] = []
  const devices: DeviceArgument[] = []
  for (const [place, rng] of definition.devices.rngs.entries()) {
    const id = `rng${place}`
    const { model, device: source } = rng.backend
    if (model === 'egd') throw unsupported('devices/rng/backend', 'model "egd" is not supported')
    const filename = model === 'random' ? source.trim() || '/dev/urandom' : undefined
    options.push('-object', optionText(`rng-${model}`, { id: `obj${id}`, filename }))
    const rate = rng.rate === undefined ? {} : { 'max-bytes': rng.rate.bytes, period: rng.rate.periodMs ?? 1000 }
    devices.push(
      device(`virtio-rng-pci${virtioVariant(rng.model)}`, {
        rng: `obj${id}`,
        id,
        ...rate,
        ...pciPlace(definition, rng.address),
      }),
    )
  }
  return { options, devices }
}

const watchdogActions: Readonly<Record<string, string>> = {
  reset: 'reset',
  shutdown: 'shutdown',
  poweroff: 'poweroff',
  pause: 'pause',
  none: 'none',
  'inject-nmi': 'inject-nmi',
}

/** Watchdogs. QEMU knows one action for all of them. */
export const watchdogFamily: CommandLineFamily = ({ definition }) => {
  const { watchdogs } = definition.devices
  const actions = new Set(watchdogs.map(({ action }) => action ?? 'reset'))
  if (actions.size > 1)
    throw unsupported(
      'devices/watchdog',
      `several actions (${[...actions].join(', ')}) are not supported, all watchdogs must have the same`,
    )
  const [action] = actions
  if (action === undefined) return { options: [], devices: [] }
  const named = watchdogActions[action]
  if (named === undefined) throw unsupported('devices/watchdog', `action "${action}" is not supported`)
  const devices = watchdogs.flatMap(({ model, address }, place): DeviceArgument[] => {
    const id = `watchdog${place}`
    if (model === 'itco') return []
    if (model === 'ib700') return [device('ib700', { id })]
    if (model === 'i6300esb') return [device('i6300esb', { id, ...pciPlace(definition, address) })]
    throw unsupported('devices/watchdog', `model "${model}" is not supported`)
  })
  return { options: ['-action', `watchdog=${named}`], devices }
}

/** Devices by which the guest reports a panic. */
export const panicFamily: CommandLineFamily = ({ definition }) => {
  const devices = definition.devices.panics.map(({ model = 'isa', address }): DeviceArgument => {
    if (model === 'isa') return device('pvpanic', {})
    if (model === 'pvpanic') return device('pvpanic-pci', pciPlace(definition, address))
    throw unsupported('devices/panic', `model "${model}" is not supported`)
  })
  return { options: [], devices }
}
