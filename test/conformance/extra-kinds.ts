import * as v from 'valibot'
import type { Accelerator } from '../../src/conf/emulator-document.ts'
import { formatCapabilitiesDocument } from '../../src/conf/format-capabilities.ts'
import type { HostFiles } from '../../src/host/host-files.ts'
import { readCacheBanks } from '../../src/host/read-cache-banks.ts'
import { type NodeMemory, readInterconnects, readNumaCells } from '../../src/host/read-numa-cells.ts'
import {
  readBandwidthMonitor,
  readCacheControls,
  readCacheMonitor,
  readMemoryBandwidth,
} from '../../src/host/read-resctrl.ts'
import { type Kind, sameText } from './assertion.ts'
import { readHostTree } from './host-tree.ts'

const hostCase = v.object({ expected: v.string(), tree: v.string(), arch: v.string(), liveMigrate: v.boolean() })
const guestCase = v.object({ expected: v.string(), qemuCaps: v.string() })

/** Recorded /sys trees give the host part. */
export const treeToHost: Kind = (of, corpora) => {
  const { expected, tree, arch, liveMigrate } = v.parse(hostCase, of.stated)
  const files: HostFiles = readHostTree(corpora, { of, path: tree })
  const cells = readNumaCells(files, mockedMemory).map((cell) => ({ ...cell, distances: [] }))
  const cacheBanks = readCacheBanks(files).map((bank) => ({ ...bank, controls: readCacheControls(files, bank) }))
  const cacheMonitor = readCacheMonitor(files)
  const bandwidthMonitor = readBandwidthMonitor(files)
  const ours = formatCapabilitiesDocument(
    {
      cpu: { arch },
      powerManagement: [],
      iommu: false,
      migration: { live: liveMigrate, uriTransports: [] },
      cells,
      interconnects: readInterconnects(files),
      cacheBanks,
      memoryBandwidth: readMemoryBandwidth(files, cacheBanks),
      ...(cacheMonitor === null ? {} : { cacheMonitor }),
      ...(bandwidthMonitor === null ? {} : { bandwidthMonitor }),
    },
    [],
  )
  return [sameText(ours, corpora.readText(of, expected))]
}

/** The flags of a capability document give the guest part of that emulator. */
export const documentToGuest: Kind = (of, corpora) => {
  const { expected, qemuCaps } = v.parse(guestCase, of.stated)
  const text = corpora.readCapabilities(qemuCaps)
  const flags = new Set([...text.matchAll(/<flag name='([^']+)'\/>/g)].map(([, name]) => name))
  const arch = /<arch>([^<]+)<\/arch>/.exec(text)?.[1] ?? ''
  const binary = /<emulator>([^<]+)<\/emulator>/.exec(text)?.[1] ?? ''
  const accelerators = (['kvm', 'hvf', 'tcg'] satisfies Accelerator[]).filter((name) => flags.has(name))
  const host = { cpu: { arch }, powerManagement: [], iommu: false }
  const ours = formatCapabilitiesDocument(host, [{ arch, binary, accelerators, machines: [] }])
  return [sameText(ours, corpora.readText(of, expected))]
}

/** The recording leaves memory to a mock: a GiB a node more, and so many pages of each size more. */
function mockedMemory(node: number): NodeMemory {
  const count = (first: number): bigint => BigInt(2048 * (node + first))
  return {
    memoryKib: BigInt(node + 1) * 1024n ** 2n,
    pages: [
      { sizeKib: 4n, count: count(1) },
      { sizeKib: 2048n, count: count(2) },
      { sizeKib: 1048576n, count: count(3) },
    ],
  }
}
