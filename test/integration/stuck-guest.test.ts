import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { capture } from '../support/capture.ts'
import { processesNaming } from '../support/end-processes.ts'
import { copyGuestDisk, eventually, FaultLane, guestXml } from '../support/fault-lane.ts'
import { startPeerLibvirtd, whyNoPeer } from '../support/peer-libvirtd.ts'
import { requireTool } from '../support/require-tool.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

/** Far above what an answer takes (a few milliseconds and the start of virsh), far below a monitor's limit of 30 s. */
const limitMs = 8_000

const reads = (stuck: string, healthy: string): readonly (readonly string[])[] => [
  ['list', '--all'],
  ['domstats'],
  ...[stuck, healthy].flatMap((name) => [
    ['dumpxml', name],
    ['dominfo', name],
    ['domstate', name],
    ['domstats', name],
    ['domblkinfo', name, 'vda'],
    ['snapshot-list', name],
  ]),
]

/** Reads everything and throws naming what did not answer at once. */
async function readEverything(uri: string, names: readonly [stuck: string, healthy: string]): Promise<void> {
  for (const words of reads(...names)) {
    const { status, err } = await capture('virsh', ['-q', '-c', uri, ...words], { timeoutMs: limitMs })
    if (status !== 0) throw new Error(`virsh ${words.join(' ')} did not answer at once (${status ?? 'killed'}): ${err}`)
  }
}

describe.skipIf(!canRun)('one QEMU that stands still', { timeout: 120_000 }, () => {
  let lane: FaultLane
  const uuids = { stuck: randomUUID(), healthy: randomUUID() }
  beforeAll(async () => {
    lane = await FaultLane.open()
    for (const [name, uuid] of Object.entries(uuids)) {
      await copyGuestDisk(lane.image('template.qcow2'), lane.image(`${name}.qcow2`))
      writeFileSync(lane.image(`${name}.xml`), guestXml(name, { vda: lane.image(`${name}.qcow2`) }, { uuid }))
      await lane.done('define', lane.image(`${name}.xml`))
      await lane.done('start', name)
    }
  })
  afterAll(async () => await lane[Symbol.asyncDispose]())

  const stop = (): number => {
    const pid = lane.process(uuids.stuck)?.pid ?? 0
    process.kill(pid, 'SIGSTOP')
    return pid
  }

  test('delays no read of any domain, and no change of another', async () => {
    const pid = stop()
    try {
      // What the daemon asks by itself must have run into the silence too.
      const suspending = lane.virsh('suspend', 'stuck')
      await readEverything(lane.daemon.uri(), ['stuck', 'healthy'])
      await lane.done('suspend', 'healthy')
      await lane.done('resume', 'healthy')
      process.kill(pid, 'SIGCONT')
      expect((await suspending).status).toBe(0)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await lane.done('resume', 'stuck')
  })

  test('is left alone by a restart of the daemon, which serves at once, and is taken up when it answers', async () => {
    const pid = stop()
    try {
      await lane.daemon.kill()
      await lane.daemon.start()
      await readEverything(lane.daemon.uri(), ['stuck', 'healthy'])
      expect(await lane.done('domstate', 'stuck')).toContain('running')
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await eventually(async () => (await lane.virsh('suspend', 'stuck')).status === 0, {
      what: 'it can be changed again',
    })
    expect(lane.process(uuids.stuck)?.pid).toBe(pid)
    await lane.done('resume', 'stuck')
  })

  test('has the intent that was cut off settled when it answers again', async () => {
    await lane.control.plan({ point: 'suspend.requested', nth: 1, action: 'kill', subject: uuids.stuck })
    const suspending = lane.virsh('suspend', 'stuck')
    await lane.died()
    await suspending
    const pid = stop()
    try {
      await lane.daemon.start()
      expect(await lane.openIntents(uuids.stuck)).toEqual(['DomainSuspendRequested'])
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await eventually(async () => (await lane.openIntents(uuids.stuck)).length === 0, {
      what: 'the intent has an outcome',
    })
  })

  test.skipIf(whyNoPeer() !== null)(
    'makes a daemon that asks its monitor for a read wait, as this test would show',
    async () => {
      await using peer = await startPeerLibvirtd()
      for (const name of ['stuck', 'healthy']) {
        await copyGuestDisk(lane.image('template.qcow2'), `${peer.directory}/${name}.qcow2`)
        writeFileSync(`${peer.directory}/${name}.xml`, guestXml(name, { vda: `${peer.directory}/${name}.qcow2` }))
        for (const words of [
          ['define', `${peer.directory}/${name}.xml`],
          ['start', name],
        ]) {
          const { status, err } = await capture('virsh', ['-c', peer.uri(), ...words])
          expect(status, err).toBe(0)
        }
      }
      const [pid] = processesNaming(`${peer.directory}/stuck.qcow2`)
      if (pid === undefined) throw new Error('The QEMU of the other daemon was not found')
      process.kill(pid, 'SIGSTOP')
      try {
        await expect(readEverything(peer.uri(), ['stuck', 'healthy'])).rejects.toThrow('did not answer at once')
      } finally {
        process.kill(pid, 'SIGKILL')
      }
    },
  )
})
