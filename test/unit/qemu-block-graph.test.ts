import { expect, test } from 'vitest'
import { targetOfDevice } from '../../src/qemu/block-nodes.ts'
import { type BlockGraph, layersBelow, unusedNodes } from '../../src/qemu/block-graph.ts'
import { nodeOptionsOfCommandLine } from '../../src/qemu/snapshots.ts'

/** A graph out of `parent -name-> child` lines; users are those whose name starts with a slash. */
function graphOf(...lines: readonly string[]): BlockGraph {
  const ids = new Map<string, number>()
  const id = (name: string): number => {
    const known = ids.get(name) ?? ids.size + 1
    ids.set(name, known)
    return known
  }
  const edges = lines.flatMap((line) => {
    const [parent = '', name = '', child] = line.split(' ')
    return child === undefined ? (id(parent), []) : [{ parent: id(parent), child: id(child), name }]
  })
  const nodes = [...ids].map(([name, number]) => {
    const type = name.startsWith('/') ? 'block-backend' : name.startsWith('job') ? 'block-job' : 'block-driver'
    return { id: number, type, name }
  })
  return { nodes, edges }
}

const commit = [
  '/disk-vda root #block7',
  '#block7 backing layer-3',
  'layer-3 file layer-3-file',
  'layer-3 backing layer-1',
  'layer-1 file layer-1-file',
]

test('layersBelow() follows the chain through the filters of a job', () => {
  expect(layersBelow(graphOf(...commit), '#block7')).toEqual(['layer-3', 'layer-1'])
})

test('layersBelow() survives a graph that is a loop', () => {
  expect(layersBelow(graphOf('layer-1 backing layer-2', 'layer-2 backing layer-1'), 'layer-1')).toEqual([
    'layer-1',
    'layer-2',
  ])
})

test('unusedNodes() names what no device and no job reaches, users first', () => {
  expect(unusedNodes(graphOf(...commit))).toEqual([])
  const after = [
    '/disk-vda root layer-1',
    'layer-1 file layer-1-file',
    'layer-3-file',
    'layer-3 file layer-3-file',
    'layer-3 backing layer-1',
  ]
  expect(unusedNodes(graphOf(...after))).toEqual(['layer-3', 'layer-3-file'])
  expect(unusedNodes(graphOf(...after, 'job-x target layer-3'))).toEqual([])
})

test('unusedNodes() leaves nodes alone that are not layers', () => {
  expect(unusedNodes(graphOf('somebodys-node file other', 'layer-9-file'))).toEqual(['layer-9-file'])
})

test.each([
  ['/machine/peripheral/disk-vda/virtio-backend', 'vda'],
  ['disk-sdb', 'sdb'],
  ['/machine/peripheral/disk-hda', 'hda'],
  ['/machine/unattached/device[3]', null],
])('targetOfDevice() reads %s', (qdev, target) => {
  expect(targetOfDevice(qdev)).toBe(target)
})

test('nodeOptionsOfCommandLine() reads back how each disk was opened', () => {
  const args = [
    ...['-blockdev', '{"driver":"file","node-name":"layer-1-file","aio":"native"}'],
    ...[
      '-blockdev',
      '{"node-name":"layer-1","cache":{"direct":true,"no-flush":false},"discard":"unmap","detect-zeroes":"unmap"}',
    ],
    ...['-blockdev', '{"node-name":"layer-2"}', '-blockdev', 'not json'],
    ...['-device', 'virtio-blk-pci,drive=layer-1,id=disk-vda,bootindex=1'],
    ...['-device', 'virtio-blk-pci,drive=layer-2,id=disk-vdb', '-device', 'ide-cd,id=disk-sda'],
  ]
  expect(Object.fromEntries(nodeOptionsOfCommandLine(args))).toEqual({
    vda: { cache: { direct: true, 'no-flush': false }, aio: 'native', discard: 'unmap', 'detect-zeroes': 'unmap' },
    vdb: {},
  })
})
