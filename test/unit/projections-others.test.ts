import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { claims, claimsTable } from '../../projections/claims.ts'
import { emulators, emulatorsTable } from '../../projections/emulators.ts'
import { identityOf } from '../../src/commands/caps-cache.ts'
import { type AnyFact, type FactOf, newFact } from '../../src/events/catalogue.ts'
import { type Claim, decideRelease, decideTake, evolveHolders, type Holders } from '../../src/model/claims.ts'
import { evolveValidCaps } from '../../src/model/emulator-caps.ts'
import { MemoryRows } from '../support/memory-rows.ts'
import { recordedFact } from '../support/recorded.ts'

function after(projection: typeof claims, facts: readonly AnyFact[]): MemoryRows {
  const rows = new MemoryRows([projection])
  for (const [position, fact] of facts.entries()) rows.apply(recordedFact(fact, { stream: 's', position }))
  return rows
}

describe('claims', () => {
  test('are the holders of the model, whatever is taken and given back', () => {
    const anyStep = fc.record({
      domain: fc.constantFrom('a', 'b', 'c'),
      mode: fc.constantFrom<Claim['mode']>('exclusive', 'shared'),
      isTake: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 20 }), (steps) => {
        const facts: AnyFact[] = []
        let holders: Holders = {}
        for (const { domain, mode, isTake } of steps) {
          const claim: Claim = { kind: 'image', subject: '/l', domain, mode }
          const own = isTake ? taken(claim, holders) : decideRelease(claim, holders)
          facts.push(...own)
          holders = own.reduce(evolveHolders, holders)
        }
        const rows = after(claims, facts).rows(claimsTable).by('by_subject', 'image//l')
        expect(Object.fromEntries(rows.map((row) => [row.domain_uuid, row.mode]))).toEqual(holders)
      }),
    )
  })

  test('are found by their holder', () => {
    const take = (kind: Claim['kind'], subject: string) =>
      newFact('ClaimTaken', { kind, subject, domain: 'u', mode: 'exclusive' })
    const rows = after(claims, [take('name', 'web'), take('port', '5900'), take('image', '/l')]).rows(claimsTable)
    expect(rows.by('by_domain', 'u').map((row) => row.kind)).toEqual(['name', 'port', 'image'])
    expect(rows.by('by_subject', 'name/web')).toHaveLength(1)
  })
})

describe('emulators', () => {
  const identity: FactOf<'EmulatorProbed'>['data']['identity'] = {
    resolvedPath: '/real',
    device: 1n,
    inode: 2n,
    sizeBytes: 3n,
    ctimeNs: 4n,
    sha256: 'a'.repeat(64),
    executablePath: '/exe',
    kvmUsable: true,
    moduleDirectory: '/modules',
    moduleDirectoryMtimeNs: 5n,
    kernel: '6.1',
    microcode: '0x1',
    hostCpu: 'cpu',
    nestedKvm: true,
    uid: 64055,
    gid: 36,
    executable: { device: 6n, inode: 7n, sizeBytes: 8n, ctimeNs: 9n },
    daemonBuild: '1.0',
    cpuid: 'd'.repeat(64),
    secureGuest: 'none',
    firmware: 'e'.repeat(64),
  }
  const probed = (capsId: string) =>
    newFact('EmulatorProbed', {
      capsId,
      binary: '/qemu',
      arch: 'x86_64',
      emulatorVersion: 7_002_022,
      package: 'Debian',
      documentSha256: 'b'.repeat(64),
      conversationSha256: 'c'.repeat(64),
      identity,
      durationMs: 200,
    })
  const reprobed = (capsId: string) =>
    newFact('EmulatorReprobed', { capsId, binary: '/qemu', identity: { ...identity, ctimeNs: 9n }, durationMs: 200 })
  const invalidated = (capsId: string) =>
    newFact('EmulatorInvalidated', {
      capsId,
      binary: '/qemu',
      reason: 'emulator_changed',
      was: 'a',
      is: 'b',
      detectedBy: 'DOMAIN_CREATE',
    })
  const failed = newFact('EmulatorProbeFailed', {
    binary: '/qemu',
    error: 'it crashed',
    file: { inode: 7n, sizeBytes: 8n, ctimeNs: 9n },
    identity: null,
  })
  const row = (...facts: readonly AnyFact[]) =>
    after(emulators, facts).rows(emulatorsTable).get({ binary_path: '/qemu' })

  test('hold everything that the validity of a version depends on', () => {
    const probe = row(probed('1'))
    expect(probe).toMatchObject({ state: 'valid', caps_id: '1', arch: 'x86_64', emulator_version: 7_002_022 })
    expect(probe === undefined ? null : identityOf(probe)).toEqual(identity)
  })

  test('keep both compared values of an invalidation, and lose them with the next probe', () => {
    expect(row(probed('1'), invalidated('1'))).toMatchObject({
      state: 'invalidated',
      invalidated_reason: 'emulator_changed',
      invalidated_was: 'a',
      invalidated_is: 'b',
    })
    expect(row(probed('1'), invalidated('1'), probed('2'))).toMatchObject({ state: 'valid', invalidated_reason: null })
    expect(row(probed('1'), invalidated('1'), reprobed('1'))).toMatchObject({
      state: 'valid',
      caps_id: '1',
      ctime_ns: 9n,
    })
  })

  test('take no notice of the invalidation of a version that was replaced', () => {
    expect(row(probed('1'), probed('2'), invalidated('1'))).toMatchObject({ state: 'valid', caps_id: '2' })
  })

  test('remember what could not be asked, by the file that it was', () => {
    expect(row(failed)).toMatchObject({
      state: 'unprobeable',
      error: 'it crashed',
      inode: 7n,
      size_bytes: 8n,
      ctime_ns: 9n,
    })
    expect(row(failed, probed('1'))).toMatchObject({ state: 'valid', error: null, inode: 2n })
  })

  test('are valid exactly when the model says so', () => {
    const all = [probed('1'), probed('2'), invalidated('1'), invalidated('2'), reprobed('1'), failed]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...all), { maxLength: 12 }), (chosen) => {
        // A version is taken up again only by the emulator that had it last.
        let last: string | null = null
        const facts = chosen.filter((fact) => {
          if (fact.type === 'EmulatorProbed') last = fact.data.capsId
          return fact.type !== 'EmulatorReprobed' || fact.data.capsId === last
        })
        const now = row(...facts)
        expect(now?.state === 'valid' ? now.caps_id : null).toBe(facts.reduce<string | null>(evolveValidCaps, null))
      }),
    )
  })
})

function taken(claim: Claim, holders: Holders): readonly AnyFact[] {
  try {
    return decideTake(claim, holders)
  } catch {
    return []
  }
}
