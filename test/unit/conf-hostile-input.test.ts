import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { completeDomain } from '../../src/conf/complete-domain.ts'
import type { DomainDef } from '../../src/conf/domain-def.ts'
import { formatDomain } from '../../src/conf/format-domain.ts'
import { keptPaths, parseDomain } from '../../src/conf/parse-domain.ts'
import { unstartable } from '../../src/conf/unstartable.ts'
import { validateDomain } from '../../src/conf/validate-domain.ts'
import { isFault } from '../../src/util/fault.ts'
import { qemu72 } from '../support/emulator-facts.ts'

const stored = readFileSync(new URL('../../fixtures/domain-xml/web-server.stored.xml', import.meta.url), 'utf8')
const fresh = { uuid: '11111111-2222-3333-4444-555555555555', randomBytes: (count: number) => new Uint8Array(count) }

/** Everything a definition goes through, or null when it is refused as it should be: by a fault, never by a crash. */
function define(text: string): DomainDef | null {
  try {
    const completed = completeDomain(parseDomain(text), qemu72, fresh)
    validateDomain(completed, qemu72)
    return completed
  } catch (error) {
    if (isFault(error)) return null
    throw error
  }
}

const lines = stored.split('\n')
const line = fc.nat({ max: lines.length - 1 })
const values = fc.constantFrom(
  '',
  '0',
  '-1',
  '007',
  '1e3',
  '99999999999',
  '0x1g',
  'x',
  "it's",
  '&',
  '<',
  '__proto__',
  'constructor',
  'é\n',
)

describe('a definition changed at random', () => {
  test('line by line is either refused by a fault or stored as a fixed point', () => {
    const edit = fc.record({ from: line, to: line, how: fc.constantFrom('copy', 'drop', 'swap') })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const changed = [...lines]
        for (const { from, to, how } of edits) {
          const [a = '', b = ''] = [changed[from], changed[to]]
          if (how === 'drop') changed.splice(from, 1)
          else if (how === 'copy') changed.splice(to, 0, a)
          else [changed[from], changed[to]] = [b, a]
        }
        const def = define(changed.join('\n'))
        if (def === null) return
        const printed = formatDomain(def, { secure: true })
        expect(formatDomain(parseDomain(printed), { secure: true })).toBe(printed)
        expect(() => [keptPaths(def), unstartable(def)]).not.toThrow()
      }),
      { numRuns: 400 },
    )
  })

  test('value by value is either refused by a fault or stored as a fixed point', () => {
    const places = [...stored.matchAll(/'[^']*'|>[^<>\n]+</g)]
    const place = fc.nat({ max: places.length - 1 })
    fc.assert(
      fc.property(place, values, (index, value) => {
        const found = places[index]
        if (found === undefined) return
        const [whole] = found
        const text = `${stored.slice(0, found.index + 1)}${value}${stored.slice(found.index + whole.length - 1)}`
        const def = define(text)
        if (def === null) return
        const printed = formatDomain(def, { secure: true })
        expect(formatDomain(parseDomain(printed), { secure: true })).toBe(printed)
      }),
      { numRuns: 600 },
    )
  })

  test('elements and attributes named like parts of objects are kept like any other', () => {
    const odd = `<constructor/><__proto__ a='1'/><kept><x/></kept>`
    const def = define(
      stored.replace('<devices>', `${odd}<devices>`).replace('<memballoon ', "<memballoon __proto__='1' toString='2' "),
    )
    expect(def && keptPaths(def)).toEqual([
      'domain/devices/memballoon/@__proto__',
      'domain/devices/memballoon/@toString',
      'domain/constructor',
      'domain/__proto__',
      'domain/kept',
    ])
    const printed = def === null ? '' : formatDomain(def)
    for (const part of ["__proto__='1' toString='2'", '<constructor/>', "<__proto__ a='1'/>", '<kept>']) {
      expect(printed).toContain(part)
    }
  })
})

describe('a flood', () => {
  const flooded = (inDomain: string, inDevices = ''): string =>
    `<domain type='kvm'><name>n</name><memory>1024</memory><os><type>hvm</type></os>${inDomain}<devices>${inDevices}</devices></domain>`

  test.each([
    ['unknown elements', flooded('<x/>'.repeat(240_000))],
    ['unknown attributes', flooded(`<memtune ${Array.from({ length: 200_000 }, (_, n) => `a${n}=''`).join(' ')}/>`)],
    ['elements kept in their place', flooded('<cputune/>'.repeat(240_000))],
    ['unknown devices', flooded('', '<hostdev/>'.repeat(240_000))],
  ])('of %s is kept and named within seconds', (_what, text) => {
    const started = performance.now()
    const def = define(text)
    expect(def).not.toBeNull()
    if (def === null) return
    expect(formatDomain(def).length).toBeGreaterThan(1_000_000)
    expect(unstartable(def).length).toBeGreaterThanOrEqual(1)
    expect(performance.now() - started).toBeLessThan(10_000)
  })

  test.each([
    ['disks', "<disk><source file='/a'/><target dev='vda'/></disk>"],
    ['network cards', "<interface type='user'/>"],
    ['serial ports', "<serial type='pty'/>"],
    ['controllers', "<controller type='scsi'/>"],
  ])('of %s is refused', (_what, device) => {
    expect(() => parseDomain(flooded('', device.repeat(2049)))).toThrow(expect.objectContaining({ rule: 'too-many' }))
  })

  test('of as many disks as are allowed is judged within seconds', () => {
    const started = performance.now()
    const letters = (index: number): string =>
      (index < 26 ? '' : letters(Math.floor(index / 26) - 1)) + String.fromCharCode(97 + (index % 26))
    const disks = Array.from(
      { length: 2048 },
      (_, n) => `<disk><source file='/${n}'/><target dev='vd${letters(2047 - n)}'/></disk>`,
    )
    expect(define(flooded('', disks.join('')))?.devices.disks).toHaveLength(2048)
    expect(performance.now() - started).toBeLessThan(10_000)
  })
})
