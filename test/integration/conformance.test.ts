import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkLog } from '../conformance/check-log.ts'
import { compareStories } from '../conformance/compare.ts'
import type { Observation } from '../conformance/observe.ts'
import { runStory } from '../conformance/story.ts'
import { storySteps } from '../conformance/story-steps.ts'
import { type PeerLibvirtd, startPeerLibvirtd, whyNoPeer } from '../support/peer-libvirtd.ts'
import { requireTool } from '../support/require-tool.ts'
import { type RunningDaemon, startDaemon } from '../support/running-daemon.ts'

const clients = ['qemu-system-x86', 'qemu-utils', 'libvirt-clients', 'python3-libvirt'] as const
const canRun = clients.map((tool) => requireTool(tool)).every((present) => present)
const hasPeer = canRun && requireTool('libvirt-daemon-system') && whyNoPeer() === null

// Emulated guests boot in half a second on every machine; `npm run conformance` tells the story with KVM.
const telling = { virtType: 'qemu', idleSeconds: 3 } as const
const limitMs = 240_000

describe.runIf(canRun)('the story, told with virsh and python3-libvirt', () => {
  let daemon: RunningDaemon
  let peer: PeerLibvirtd | null = null
  let ours: readonly Observation[] = []
  let theirs: readonly Observation[] = []

  beforeAll(async () => {
    daemon = await startDaemon({ driver: 'qemu' })
    const directory = join(daemon.directory, 'images')
    ours = await runStory({ ...telling, uri: daemon.uri(), socketPath: daemon.socketPath(), directory })
    if (!hasPeer) return
    peer = await startPeerLibvirtd()
    const there = { uri: peer.uri(), socketPath: peer.socketPath, directory: join(peer.directory, 'images') }
    theirs = await runStory({ ...telling, ...there })
  }, limitMs)

  afterAll(async () => {
    await peer?.[Symbol.asyncDispose]()
    await daemon[Symbol.asyncDispose]()
  })

  test.each(storySteps.map((step, at) => [step.name, at] as const))('%s', (_name, at) => {
    expect(ours[at]?.wrong).toBeNull()
  })

  test.runIf(hasPeer)('shows the same on libvirtd, but for the differences that are known', () => {
    expect(theirs.filter(({ wrong }) => wrong !== null)).toEqual([])
    expect(compareStories(ours, theirs).filter(({ reason }) => reason === null)).toEqual([])
  })

  test('leaves a log that replays to the same rows and breaks no invariant', async () => {
    expect(await checkLog(daemon)).toEqual([])
  }, 60_000)
})
