import { element, type ElementCodec, type Part } from '../xml/codec.ts'
import { DefinitionError } from '../xml/definition-error.ts'
import { attribute, child, converted, optional, text } from '../xml/parts.ts'
import { kibOf, memoryUnits, scaleToBytes } from '../xml/scaled-memory.ts'
import { anyText, onOff, unsignedLong } from '../xml/value-codec.ts'
import { attributeOf, childOf, childrenOf, type XmlElement } from '../xml/xml-node.ts'

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

/** `<memory>` of a domain: where it is missing, the sum of what the NUMA cells of the guest are given. */
export function domainMemory(): Part<MemorySize> {
  const written = child(memorySize('memory'))
  return {
    ...written,
    read(source, path) {
      const cells = childOf(source, 'memory') === undefined ? numaCells(source) : []
      if (cells.length === 0) return written.read(source, path)
      return { kib: cells.reduce((sum, cell) => sum + cellMemory(cell), 0n) }
    },
  }
}

function numaCells(source: XmlElement): readonly XmlElement[] {
  const cpu = childOf(source, 'cpu')
  const numa = cpu === undefined ? undefined : childOf(cpu, 'numa')
  return numa === undefined ? [] : childrenOf(numa, 'cell')
}

function cellMemory(cell: XmlElement): bigint {
  const path = 'domain/cpu/numa/cell'
  const amount = unsignedLong.parse(attributeOf(cell, 'memory') ?? '')
  const sizeBytes = amount === undefined ? undefined : scaleToBytes(amount, attributeOf(cell, 'unit') ?? 'KiB')
  if (sizeBytes !== undefined) return kibOf(sizeBytes)
  throw new DefinitionError({
    element: path,
    rule: 'cell-memory',
    message: `Cannot read ${path}: without <memory> each cell must state its memory with one of the units ${memoryUnits}`,
  })
}
