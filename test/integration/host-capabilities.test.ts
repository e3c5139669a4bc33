import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { hostPart } from '../../src/conf/format-capabilities.ts'
import { describeHost } from '../../src/describe-host.ts'
import { LocalHost } from '../../src/host/local-host.ts'
import { capture } from '../support/capture.ts'
import { startPeerLibvirtd, whyNoPeer } from '../support/peer-libvirtd.ts'
import { requireTool } from '../support/require-tool.ts'

const canCompare = requireTool('libvirt-daemon-system') && requireTool('libvirt-clients') && whyNoPeer() === null
const canAskCpu = existsSync('/dev/cpu/0/cpuid')

/** What the peer calls a feature; ours knows some that came later. */
const peerFeatures = '/usr/share/libvirt/cpu_map/x86_features.xml'

/**
 * A host part line by line without what differs with the version of the document: places in clusters, caches of the second level, features that came later, and the order
 * of features.
 */
function comparable(part: string): readonly string[] {
  const known = readFileSync(peerFeatures, 'utf8')
  const lines = part
    .split('\n')
    .map((line) => line.trim().replace(/ cluster_id='\d+'/, ''))
    .filter((line) => line !== '' && !line.startsWith('<uuid>') && !/<bank .*level='2'.*\/>/.test(line))
  const isFeature = (line: string): boolean => line.startsWith('<feature ')
  const features = lines.filter((line) => isFeature(line) && known.includes(line.slice(0, -2)))
  const first = lines.findIndex(isFeature)
  return lines.filter((line) => !isFeature(line)).toSpliced(first, 0, ...features.toSorted())
}

test.skipIf(!canCompare || !canAskCpu)(
  'the host part of capabilities is what libvirtd prints here',
  { timeout: 120_000 },
  async () => {
    await using peer = await startPeerLibvirtd({ cpu: 0 })
    const { out } = await capture('virsh', ['-q', '-c', peer.uri(), 'capabilities'], { timeoutMs: 100_000 })
    const theirs = /<host>[^]*<\/host>/.exec(out)?.[0] ?? ''
    // The peer's guests run as root.
    const user = { uid: 0, gid: 0 }
    const machine = new LocalHost({ qemuUser: user })
    const ours = hostPart(describeHost('00000000-0000-4000-8000-000000000000', { machine, user }).document())
    expect(theirs).toContain('<cpu>')
    expect(comparable(ours)).toEqual(comparable(theirs))
  },
)
