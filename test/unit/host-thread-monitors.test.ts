import { describe, expect, test } from 'vitest'
import type { HostFiles } from '../../src/host/host-files.ts'
import { readThreadMonitors } from '../../src/host/read-thread-monitors.ts'

const resctrl = '/sys/fs/resctrl'

/** Figures of a group on a machine of two last-level caches. */
function figures(group: string, first: readonly [string, string, string], second: readonly [string, string, string]) {
  return [first, second].flatMap((values, id): [string, string][] =>
    ['llc_occupancy', 'mbm_local_bytes', 'mbm_total_bytes'].map((name, at) => [
      `${group}/mon_data/mon_L3_0${id}/${name}`,
      `${values[at]}\n`,
    ]),
  )
}

const nothing = ['0', '0', '0'] as const

/** A QEMU of three virtual CPUs, threads 101 to 103, of which two are measured together and one divides its cache and is measured in it, too. */
const tree = new Map<string, string>([
  [`${resctrl}/info/L3_MON/num_rmids`, '32\n'],
  [`${resctrl}/tasks`, '1\n100\n'],
  ...figures(resctrl, ['9', '9', '9'], nothing),
  [`${resctrl}/mon_groups/pair/tasks`, '101\n102\n'],
  ...figures(`${resctrl}/mon_groups/pair`, ['4096', '10', '20'], ['Unavailable', '0', 'Error']),
  [`${resctrl}/divided/tasks`, '103\n'],
  [`${resctrl}/divided/schemata`, 'L3:0=ff;1=ff\n'],
  ...figures(`${resctrl}/divided`, ['1', '2', '3'], nothing),
  [`${resctrl}/divided/mon_groups/inner/tasks`, '103\n'],
  ...figures(`${resctrl}/divided/mon_groups/inner`, ['1', '2', '3'], nothing),
  [`${resctrl}/mon_groups/strangers/tasks`, '7\n8\n'],
  ...figures(`${resctrl}/mon_groups/strangers`, ['5', '5', '5'], nothing),
  ['/proc/100/task/100/comm', 'qemu-system-x86\n'],
  ['/proc/100/task/101/comm', 'CPU 0/KVM\n'],
  ['/proc/100/task/102/comm', 'CPU 1/KVM\n'],
  ['/proc/100/task/103/comm', 'CPU 2/TCG\n'],
])

function filesOf(found: ReadonlyMap<string, string>): HostFiles & { readonly reads: string[] } {
  const reads: string[] = []
  return {
    reads,
    read(path) {
      reads.push(path)
      return found.get(path) ?? null
    },
    list(directory) {
      const below = [...found.keys()].filter((path) => path.startsWith(`${directory}/`))
      return [...new Set(below.map((path) => path.slice(directory.length + 1).split('/')[0] ?? ''))]
    },
  }
}

describe('readThreadMonitors()', () => {
  test('gives the groups that hold virtual CPUs of the process, wherever they are, with their figures', () => {
    const none = { occupancyBytes: 0n, localBytes: 0n, totalBytes: 0n }
    const one = [
      { id: 0, occupancyBytes: 1n, localBytes: 2n, totalBytes: 3n },
      { id: 1, ...none },
    ]
    expect(readThreadMonitors(filesOf(tree), 100)).toEqual([
      { name: 'divided', vcpus: [2], banks: one },
      {
        name: 'pair',
        vcpus: [0, 1],
        banks: [
          { id: 0, occupancyBytes: 4096n, localBytes: 10n, totalBytes: 20n },
          { id: 1, occupancyBytes: null, localBytes: 0n, totalBytes: null },
        ],
      },
      { name: 'inner', vcpus: [2], banks: one },
    ])
  })

  test('gives nothing for a process that no group holds, or that is gone', () => {
    expect(readThreadMonitors(filesOf(tree), 7)).toEqual([])
    expect(readThreadMonitors(filesOf(tree), 4711)).toEqual([])
  })

  test('reads nothing where resctrl is not mounted, and no thread where it has no groups', () => {
    const bare = filesOf(new Map([['/proc/100/task/101/comm', 'CPU 0/KVM\n']]))
    expect(readThreadMonitors(bare, 100)).toEqual([])
    const mounted = filesOf(new Map([...tree].filter(([path]) => /\/info\/|^\/proc/.test(path))))
    expect(readThreadMonitors(mounted, 100)).toEqual([])
    expect([...bare.reads, ...mounted.reads]).toEqual([])
  })
})
