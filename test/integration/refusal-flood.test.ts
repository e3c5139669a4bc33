import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeFact } from '../../src/events/catalogue.ts'
import { remoteProcedures as procedures } from '../../src/protocol/procedure-table.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { flood, recordedEvents, refusalLog, startGuest } from '../support/refusal-flood.ts'
import { type RunningDaemon, startDaemon } from '../support/running-daemon.ts'

const calls = 5_000

describe('a flood of refused calls', () => {
  let daemon: RunningDaemon
  beforeAll(async () => {
    daemon = await startDaemon({ driver: 'test' })
  }, 60_000)
  afterAll(async () => await daemon[Symbol.asyncDispose]())

  test('is answered call by call, bounded in the log, and counted without losing one', {
    timeout: 60_000,
  }, async () => {
    const path = daemon.socketPath()
    await using client = await RpcClient.open(path, 'test:///default')
    const domain = await startGuest(client)
    const before = await refusalLog(daemon.file())
    const answered = flood({ path, calls, connections: 3, running: domain })
    // Somebody else is served meanwhile: what asks to change, too.
    for (const autostart of [1, 0, 1]) await client.call(procedures.domainSetAutostart, { domain, autostart })
    expect(await answered).toBe(calls)
    await daemon.stop()
    await daemon.start()
    const after = await refusalLog(daemon.file())
    expect(after.recorded - before.recorded + after.counted).toBe(calls)
    expect(after.recorded - before.recorded).toBeLessThan(200)
    // 50 bytes for each call of a flood would be the most; windows and first ones weigh more in one so short.
    expect(Number(after.bytes - before.bytes)).toBeLessThan(2_000_000)
    const { out } = await daemon.cli('log', 'refusals-0', '--type', 'RefusalsCounted')
    expect(out).toMatch(
      /more refusals of uid 0 in .*: \d+ of DOMAIN_(CREATE|DESTROY|DEFINE_XML) by node\S* \((operation_invalid|no_domain|xml_malformed|operation_timeout)\), .*; last: /,
    )
  })

  test('leaves a log of which every event is read by the catalogue, those of the daemon itself among them', async () => {
    const types = new Set<string>()
    for (const event of await recordedEvents(daemon.file())) types.add(decodeFact(event.type, event).type)
    expect([...types]).toEqual(expect.arrayContaining(['DaemonStarted', 'HostFactsObserved', 'DaemonStopped']))
  })
})
