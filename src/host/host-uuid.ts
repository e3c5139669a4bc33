import type { ReadHostText } from './read-host-text.ts'

const sources = ['/sys/class/dmi/id/product_uuid', '/sys/firmware/devicetree/base/vm,uuid', '/etc/machine-id']

/** The machine's UUID, lower case with dashes, from the first source that holds a usable one. Firmware that repeats one digit states none. */
export function readHostUuid(read: ReadHostText): string | null {
  for (const source of sources) {
    const digits = (read(source) ?? '').replaceAll(/[^0-9a-fA-F]/g, '').toLowerCase()
    if (digits.length === 32 && new Set(digits).size > 1)
      return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  }
  return null
}
