import type { DiskDef } from './disk-def.ts'

type Bus = NonNullable<DiskDef['target']['bus']>

const busByPrefix: readonly (readonly [string, Bus])[] = [
  ['fd', 'fdc'],
  ['hd', 'ide'],
  ['vd', 'virtio'],
  ['sd', 'scsi'],
  ['xvd', 'xen'],
  ['ubd', 'uml'],
  ['nvme', 'nvme'],
]

/** Bus that the name of a target suggests: `vda` is virtio. */
export function busOfTarget(target: string): Bus | undefined {
  return busByPrefix.find(([prefix]) => target.startsWith(prefix))?.[1]
}

/** Place of a drive by its letters: `vda` 0, `vdb` 1, `vdaa` 26. Undefined for a name without letters behind a known prefix. */
export function targetIndex(target: string): number | undefined {
  const letters = /^(?:fd|hd|vd|sd|xvd|ubd)([a-z]{1,4})(?:[0-9]*)$/.exec(target)?.[1]
  if (letters === undefined) return undefined
  let index = 0
  for (const letter of letters) index = index * 26 + (letter.charCodeAt(0) - 96)
  return index - 1
}

/** Units per bus and buses per controller: which drive address a target stands for. Unit 7 of a narrow SCSI bus is the controller itself. */
export const driveLayout: Readonly<Partial<Record<Bus, { readonly units: number; readonly buses: number }>>> = {
  ide: { units: 2, buses: 2 },
  fdc: { units: 2, buses: 1 },
  scsi: { units: 7, buses: 1 },
  sata: { units: 6, buses: 1 },
}
