// A daemon as `chronovisor daemon` runs it, in a process of its own, that can be made to fail: at a crash point, or by
// taking single guards away (GUARDS_OFF, names of the table in guards.ts). Words before `daemon` on its command line
// are ignored, so that it can stand in front of the launcher. The product itself has no way in for any of this.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { readConfig, settings } from '../../src/config.ts'
import type { Hypervisor } from '../../src/compose-driver.ts'
import { startDaemon } from '../../src/main.ts'
import { PlannedFault } from './fault-actions.ts'
import { serveFaultControl } from './fault-control.ts'
import { guardsOff } from './guards.ts'
import { IntentGate } from './intent-gate.ts'

const words = process.argv.slice(process.argv.indexOf('daemon') + 1)
const flags: Record<string, string> = {}
for (let at = 0; at < words.length; at += 1) {
  const name = words[at]?.replace(/^--/, '') ?? ''
  const setting = settings.find((one) => one.flag === name)
  if (setting === undefined) throw new Error(`Cannot start the faulty daemon: there is no setting "${name}"`)
  flags[name] = setting.value === null ? 'true' : (words[(at += 1)] ?? '')
}

const config = readConfig(flags)
const planned = new PlannedFault(config)
const removed = guardsOff(process.env['GUARDS_OFF'] ?? '', config)
const intents = new IntentGate()
const parts: Hypervisor[] = []
rmSync(join(config.socketDir, 'control'), { force: true })
const daemon = await startDaemon(
  config,
  pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true })),
  {
    seams: {
      reach: planned.reach,
      wrapLog: (log) => intents.wrap(removed.wrapLog(log)),
      wrapHypervisor: (hypervisor) => {
        parts.push(hypervisor)
        return removed.wrapHypervisor(hypervisor)
      },
    },
  },
)
serveFaultControl({
  socketDir: config.socketDir,
  planned,
  intents,
  hypervisor: () => {
    const [hypervisor] = parts
    if (hypervisor === undefined) throw new Error('Cannot ask the hypervisor: there is none')
    return hypervisor
  },
})
process.once('SIGTERM', () => void daemon.stop('SIGTERM').then(() => process.exit(0)))
const error = await daemon.fenced
process.stderr.write(`${error.message}\n`)
process.exit(1)
