import { element, type ElementCodec } from '../xml/codec.ts'
import { DefinitionError } from '../xml/definition-error.ts'
import { attribute, converted, optional, text } from '../xml/parts.ts'
import { kibOf, memoryUnits, scaleToBytes } from '../xml/scaled-memory.ts'
import { anyText, onOff, unsignedLong } from '../xml/value-codec.ts'

/** An amount of memory; always printed in KiB. */
export interface MemorySize {
  readonly kib: bigint
  readonly dumpCore?: boolean | undefined
}

/** `<memory>` and `<currentMemory>`: an amount with an optional unit, KiB when none is given. */
export function memorySize(name: string): ElementCodec<MemorySize> {
  const written = element(name, {
    dumpCore: optional(attribute('dumpCore', onOff)),
    unit: optional(attribute('unit', anyText)),
    amount: text(unsignedLong),
  })
  return converted(written, {
    read({ unit = 'KiB', amount, dumpCore, kept }, path) {
      const sizeBytes = scaleToBytes(amount, unit)
      if (sizeBytes === undefined) {
        const message = `Cannot read ${path}: attribute "unit" is "${unit}", it must be one of ${memoryUnits}`
        throw new DefinitionError({ element: path, rule: 'unit', message })
      }
      if (sizeBytes >= 1n << 63n) {
        const message = `Cannot read ${path}: ${amount} ${unit} is too much, at most 8 EiB can be given`
        throw new DefinitionError({ element: path, rule: 'overflow', message })
      }
      return {
        kib: kibOf(sizeBytes),
        ...(dumpCore === undefined ? {} : { dumpCore }),
        ...(kept === undefined ? {} : { kept }),
      }
    },
    write: ({ kib, ...rest }) => ({ ...rest, unit: 'KiB', amount: kib }),
  })
}
