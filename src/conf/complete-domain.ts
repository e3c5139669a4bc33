import { completeCharacterDevices } from './complete-character-devices.ts'
import { completeControllers } from './complete-controllers.ts'
import { completeCpu } from './complete-cpu.ts'
import { completeDisks } from './complete-disks.ts'
import { completeDisplay } from './complete-display.ts'
import { completeIdentity } from './complete-identity.ts'
import { completeInterfaces } from './complete-interfaces.ts'
import { completeMachine } from './complete-machine.ts'
import { type CompletionPass, type FreshValues, withDevices } from './completion.ts'
import type { DomainDef } from './domain-def.ts'
import type { EmulatorFacts } from './emulator-facts.ts'

const completeBalloon: CompletionPass = (def) =>
  withDevices(def, { memballoon: def.devices.memballoon ?? { model: 'virtio' } })

const completeWatchdogs: CompletionPass = (def) =>
  withDevices(def, {
    watchdogs: def.devices.watchdogs.map((watchdog) => ({ ...watchdog, action: watchdog.action ?? 'reset' })),
  })

// Controllers come behind all devices that may need one.
const passes: readonly CompletionPass[] = [
  completeIdentity,
  completeMachine,
  completeCpu,
  completeDisks,
  completeInterfaces,
  completeCharacterDevices,
  completeDisplay,
  completeBalloon,
  completeWatchdogs,
  completeControllers,
]

/**
 * Fills in everything the definition leaves open, by the facts of the one emulator it is judged by: so the stored
 * definition means the same after any upgrade. Pure and idempotent; nothing is refused here, see `validateDomain`.
 */
export function completeDomain(def: DomainDef, facts: EmulatorFacts, fresh: FreshValues): DomainDef {
  let completed = def
  for (const pass of passes) completed = pass(completed, { facts, fresh })
  return completed
}
