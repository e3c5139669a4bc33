import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AnyFact } from '../../src/events/catalogue.ts'
import { type Domain, evolveDomain, noDomain } from '../../src/model/domain.ts'
import { checkNewSnapshot, decideSnapshotDelete } from '../../src/model/snapshots.ts'
import { factOf } from '../support/facts.ts'
import { given } from '../support/given.ts'

function after(...facts: readonly AnyFact[]): Domain {
  return facts.reduce(evolveDomain, noDomain)
}

describe('snapshots', () => {
  const created = (name: string, parent: string | null, metadata = true) =>
    factOf('SnapshotCreated', { name, parent, metadata, disks: [] })
  const tree = [created('a', null), created('b', 'a'), created('c', 'b'), created('d', 'b')]
  const deleted = (name: string, newParentOfChildren: string | null) =>
    factOf('SnapshotDeleted', { name, newParentOfChildren })
  const deleting = {
    initial: noDomain,
    evolve: evolveDomain,
    decide: (request: Parameters<typeof decideSnapshotDelete>[1], domain: Domain) =>
      decideSnapshotDelete(domain.snapshots, request),
  }
  const one = { name: 'b', children: false, childrenOnly: false }

  test('are deleted alone, with what is below them, or only what is below them: children first', () => {
    given(deleting, tree).when(one).thenFacts(deleted('b', 'a'))
    given(deleting, tree)
      .when({ ...one, children: true })
      .thenFacts(deleted('c', 'b'), deleted('d', 'b'), deleted('b', 'a'))
    given(deleting, tree)
      .when({ ...one, childrenOnly: true })
      .thenFacts(deleted('c', 'b'), deleted('d', 'b'))
  })

  test.each(['x', 'toString', '__proto__', 'constructor'])('refuse to delete %s, which is not recorded', (name) => {
    given(deleting, tree)
      .when({ ...one, name })
      .thenThrows(`no domain snapshot with matching name '${name}'`)
  })

  test('of any name can be recorded, found and deleted again', () => {
    fc.assert(
      fc.property(fc.constantFrom('toString', '__proto__', 'constructor', 'x', ''), (name) => {
        const domain = after(created(name, null), created('child', name))
        expect(() => checkNewSnapshot(domain.snapshots, name)).toThrow('a snapshot of that name exists already')
        const left = decideSnapshotDelete(domain.snapshots, { ...one, name }).reduce(evolveDomain, domain)
        expect(left.snapshots).toEqual({ parents: { child: null }, current: 'child' })
      }),
    )
  })

  test('give their children to their parent, and pass the current mark up', () => {
    const { snapshots } = after(...tree, deleted('b', 'a'))
    expect(snapshots).toEqual({ parents: { a: null, c: 'a', d: 'a' }, current: 'd' })
    expect(after(...tree, deleted('d', 'b')).snapshots.current).toBe('b')
    expect(after(...tree, deleted('c', 'b')).snapshots.current).toBe('d')
    expect(after(created('a', null), deleted('a', null)).snapshots).toEqual({ parents: {}, current: null })
  })

  test('without metadata are no part of the tree', () => {
    expect(after(created('a', null, false)).snapshots).toEqual({ parents: {}, current: null })
  })

  test('always form a forest, whatever is created and deleted', () => {
    const anyStep = fc.tuple(fc.boolean(), fc.nat(6), fc.boolean(), fc.boolean())
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
        let domain = noDomain
        for (const [isNew, number, children, childrenOnly] of steps) {
          const name = `s${number}`
          const isKnown = Object.hasOwn(domain.snapshots.parents, name)
          if (isNew === isKnown) continue
          const facts = isNew
            ? [created(name, domain.snapshots.current)]
            : decideSnapshotDelete(domain.snapshots, { name, children, childrenOnly })
          domain = facts.reduce(evolveDomain, domain)
          const { parents, current } = domain.snapshots
          if (current !== null) expect(parents).toHaveProperty(current)
          for (const start of Object.keys(parents)) {
            let depth = 0
            for (let at: string | null = start; at !== null; at = parents[at] ?? null) {
              expect(Object.hasOwn(parents, at)).toBe(true)
              expect(++depth).toBeLessThan(10)
            }
          }
        }
      }),
    )
  })
})
