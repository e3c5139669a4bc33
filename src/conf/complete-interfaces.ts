import { archOf, type CompletionPass, isX86, withDevices } from './completion.ts'

/** Prefix of the addresses that QEMU guests use. */
const ouiPrefix = '52:54:00'

function macFrom(bytes: Uint8Array): string {
  return [ouiPrefix, ...Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'))].join(':')
}

/** MAC address and model of network cards. */
export const completeInterfaces: CompletionPass = (def, context) => {
  const model = isX86(archOf(def, context)) ? 'rtl8139' : 'virtio'
  const interfaces = def.devices.interfaces.map((card) => ({
    ...card,
    mac: card.mac ?? { address: macFrom(context.fresh.randomBytes(3)) },
    model: card.model ?? (card.type === 'hostdev' ? undefined : { type: model }),
  }))
  return withDevices(def, { interfaces })
}
