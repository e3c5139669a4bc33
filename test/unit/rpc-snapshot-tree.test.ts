import { describe, expect, test } from 'vitest'
import type { SnapshotRow } from '../../projections/snapshots.ts'
import {
  childrenOf,
  descendantsOf,
  selectSnapshots,
  snapshotListFlag,
  topological,
} from '../../src/rpc/snapshot-tree.ts'

function row(name: string, parent: string | null): SnapshotRow {
  return {
    domain_uuid: 'u',
    name,
    parent,
    is_current: false,
    description: null,
    state: 'disk-snapshot',
    created_at_us: 0n,
    definition_sha256: '',
  }
}

const rows = [row('c', 'b'), row('a', null), row('b', 'a'), row('d', 'a'), row('x', null)]
const names = (found: readonly SnapshotRow[]): string => found.map((one) => one.name).join(' ')

describe('the tree of snapshots', () => {
  test('childrenOf() gives the direct ones', () => {
    expect(names(childrenOf(rows, 'a'))).toBe('b d')
  })

  test('descendantsOf() gives parents before children', () => {
    expect(names(descendantsOf(rows, 'a'))).toBe('b d c')
  })

  test('descendantsOf() ends in a cycle', () => {
    expect(names(descendantsOf([row('a', 'b'), row('b', 'a')], 'a'))).toBe('b')
  })

  test('topological() gives parents before children', () => {
    expect(names(topological(rows))).toBe('a b d c x')
  })
})

describe('selectSnapshots()', () => {
  const { leaves, noLeaves, metadata, noMetadata, internal, external, diskOnly, active } = snapshotListFlag
  test.each([
    ['nothing asked', 0, 'c a b d x'],
    ['leaves', leaves, 'c d x'],
    ['no leaves', noLeaves, 'a b'],
    ['both', leaves | noLeaves, 'c a b d x'],
    ['with metadata', metadata, 'c a b d x'],
    ['without metadata', noMetadata, ''],
    ['internal', internal, ''],
    ['external leaves', external | leaves, 'c d x'],
    ['disk only', diskOnly, 'c a b d x'],
    ['active', active, ''],
    ['topological', snapshotListFlag.topological, 'a b d c x'],
  ])('%s', (_name, flags, expected) => {
    expect(names(selectSnapshots(rows, flags, rows))).toBe(expected)
  })
})
