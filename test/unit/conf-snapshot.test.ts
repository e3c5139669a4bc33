import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { alignSnapshot, defaultOverlayPath, defaultSnapshotName } from '../../src/conf/align-snapshot.ts'
import { parseDomain } from '../../src/conf/parse-domain.ts'
import { formatSnapshot, parseSnapshot } from '../../src/conf/snapshot-def.ts'
import { DefinitionError } from '../../src/xml/definition-error.ts'

const stored = readFileSync(new URL('../../fixtures/domain-xml/web-server.stored.xml', import.meta.url), 'utf8')
const definition = parseDomain(stored)
const disks = (lines: string): string => `<domainsnapshot><disks>${lines}</disks></domainsnapshot>`

describe('parseSnapshot()', () => {
  test('reads what virsh snapshot-create-as sends', () => {
    const def = parseSnapshot(
      `<domainsnapshot><name>one</name><description>before</description><memory snapshot='no'/>
       <disks><disk name='vda' snapshot='external'><source file='/s/vda.one'/></disk><disk name='hdc' snapshot='no'/></disks></domainsnapshot>`,
    )
    expect(def).toEqual({
      name: 'one',
      description: 'before',
      memory: { snapshot: 'no' },
      disks: [
        { name: 'vda', snapshot: 'external', source: { file: '/s/vda.one' } },
        { name: 'hdc', snapshot: 'no' },
      ],
    })
  })

  test('reads an empty snapshot', () => {
    expect(parseSnapshot('<domainsnapshot/>')).toEqual({ disks: [] })
  })

  test.each([
    ['another root', '<snapshot/>', 'root-element'],
    ['a slash in the name', '<domainsnapshot><name>a/b</name></domainsnapshot>', 'snapshot-name'],
    ['a name that starts with a dot', '<domainsnapshot><name>.a</name></domainsnapshot>', 'snapshot-name'],
    ['an unknown decision', disks("<disk name='vda' snapshot='maybe'/>"), 'one-of'],
    ['a disk without a name', disks('<disk/>'), 'required'],
  ])('refuses %s', (_what, xml, rule) => {
    expect(() => parseSnapshot(xml)).toThrow(DefinitionError)
    expect(() => parseSnapshot(xml)).toThrow(expect.objectContaining({ rule }))
  })
})

describe('formatSnapshot()', () => {
  const def = {
    ...alignSnapshot(parseSnapshot('<domainsnapshot><name>one</name></domainsnapshot>'), definition, 1_700_000_000n),
    state: 'disk-snapshot' as const,
    parent: 'zero',
    domain: { kind: 'definition' as const, definition },
  }

  test('prints everything that is kept, the definition inside', () => {
    const printed = formatSnapshot(def)
    expect(printed).toBe(`<domainsnapshot>
  <name>one</name>
  <state>disk-snapshot</state>
  <parent>
    <name>zero</name>
  </parent>
  <creationTime>1700000000</creationTime>
  <disks>
    <disk name='vda' snapshot='external' type='file'>
      <driver type='qcow2'/>
      <source file='/srv/images/web.one'/>
    </disk>
    <disk name='hdc' snapshot='no'/>
  </disks>
${stored.replace(/^(?=.)/gm, '  ')}</domainsnapshot>
`)
  })

  test('is read back to the same value', () => {
    expect(formatSnapshot(parseSnapshot(formatSnapshot(def)))).toBe(formatSnapshot(def))
  })

  test('keeps secrets of the definition to itself', () => {
    const secret = parseDomain(stored.replace("autoport='yes'>", "autoport='yes' passwd='hunter2'>"))
    const kept = { ...def, domain: { kind: 'definition' as const, definition: secret } }
    expect(formatSnapshot(kept)).not.toContain('hunter2')
    expect(formatSnapshot(kept, { secure: true })).toContain('hunter2')
  })
})

describe('alignSnapshot()', () => {
  const align = (xml: string) => alignSnapshot(parseSnapshot(xml), definition, 1_700_000_000n)

  test('names the snapshot after its second and decides for every disk', () => {
    const aligned = align('<domainsnapshot/>')
    expect(aligned.name).toBe('1700000000')
    expect(aligned.disks).toEqual([
      {
        name: 'vda',
        snapshot: 'external',
        type: 'file',
        driver: { type: 'qcow2' },
        source: { file: '/srv/images/web.1700000000' },
      },
      { name: 'hdc', snapshot: 'no' },
    ])
  })

  test('finds a disk by its path and takes a source as a wish for an overlay', () => {
    const [first] = align(disks("<disk name='/srv/images/web.qcow2'><source file='/s/over'/></disk>")).disks
    expect(first).toMatchObject({ name: 'vda', snapshot: 'external', source: { file: '/s/over' } })
  })

  test.each([
    ['an unknown disk', "<disk name='vdz'/>", 'snapshot-disk-known'],
    ['a disk named twice', "<disk name='vda'/><disk name='/srv/images/web.qcow2'/>", 'snapshot-disk-once'],
    [
      'a source without an overlay',
      "<disk name='vda' snapshot='no'><source file='/s'/></disk>",
      'snapshot-disk-source',
    ],
    ['an overlay on an empty drive', "<disk name='hdc' snapshot='external'/>", 'snapshot-disk-empty'],
    ['a relative overlay', "<disk name='vda'><source file='over'/></disk>", 'snapshot-disk-absolute'],
    ['an overlay on itself', "<disk name='vda'><source file='/srv/images/web.qcow2'/></disk>", 'snapshot-disk-itself'],
  ])('refuses %s', (_what, lines, rule) => {
    expect(() => align(disks(lines))).toThrow(expect.objectContaining({ rule, kind: 'config_unsupported' }))
  })

  test('refuses two disks that would share an overlay', () => {
    const twice = stored.replace(
      "<disk type='file' device='cdrom'>",
      "<disk><source file='/srv/images/web.raw'/><target dev='vdb'/></disk><disk type='file' device='cdrom'>",
    )
    const snapshot = parseSnapshot('<domainsnapshot><name>s</name></domainsnapshot>')
    expect(() => alignSnapshot(snapshot, parseDomain(twice), 1n)).toThrow(
      expect.objectContaining({ rule: 'snapshot-file-once' }),
    )
  })
})

describe('defaultOverlayPath()', () => {
  test.each([
    ['/a/b.qcow2', '/a/b.s1'],
    ['/a/b', '/a/b.s1'],
    ['/a.d/b', '/a.d/b.s1'],
    ['/a/b.tar.qcow2', '/a/b.tar.s1'],
    ['/a/.hidden', '/a/.hidden.s1'],
  ])('of %s is %s', (path, expected) => {
    expect(defaultOverlayPath(path, 's1')).toBe(expected)
  })

  test('defaultSnapshotName() is the second of its creation', () => {
    expect(defaultSnapshotName(1_700_000_000n)).toBe('1700000000')
  })
})
