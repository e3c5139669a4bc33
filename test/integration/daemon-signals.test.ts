import { describe, expect, test } from 'vitest'
import { startDaemon } from '../support/running-daemon.ts'

describe('chronovisor daemon', () => {
  test('takes a signal that arrives twice at once for one, and ends in order', async () => {
    await using daemon = await startDaemon({ driver: 'test' })
    // What npm does with Ctrl-C: the terminal tells everybody, and npm tells its child once more.
    process.kill(daemon.pid(), 'SIGINT')
    process.kill(daemon.pid(), 'SIGTERM')
    expect(await daemon.stop()).toEqual({ status: 0, signal: null })
    await daemon.start()
    const { out } = await daemon.cli('log', '--json', '--type', 'DaemonStopped')
    expect(JSON.parse(out)).toMatchObject([{ type: 'DaemonStopped' }])
  })
})
