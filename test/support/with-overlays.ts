import { definitionOf, FakeMachine, operator, snapshotOf } from './fake-host.ts'

/** A daemon with the domain `web` that runs, or has run, on the overlays named. */
export async function withOverlays(names: readonly string[], options: { readonly isOff?: boolean } = {}) {
  const machine = new FakeMachine()
  const daemon = machine.boot()
  const { commands, host } = daemon
  const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
  await commands.startDomain(operator, { uuid, paused: false })
  for (const name of names) await commands.createSnapshot(operator, snapshotOf(uuid, name))
  if (options.isOff === true) await commands.destroyDomain(operator, { uuid, graceful: false })
  await machine.time.advance(1)
  return { machine, daemon, commands, host, uuid }
}
