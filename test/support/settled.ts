import { expect } from 'vitest'
import { diskLayersTable } from '../../projections/backing-chains.ts'
import { blockJobsTable } from '../../projections/block-jobs.ts'
import { claimsTable } from '../../projections/claims.ts'
import { domainStatesTable } from '../../projections/domain-states.ts'
import { type FakeDaemon, never } from './fake-host.ts'
import { MemoryRows } from './memory-rows.ts'
import { allProjections } from './all-projections.ts'

/** The invariants that must hold whenever nothing is under way: fails with the one that does not. */
export async function expectSettled(daemon: FakeDaemon): Promise<void> {
  const { host, machine, models, world } = daemon
  expect(daemon.notes.filter((note) => note.level === 'error')).toEqual([])
  expect([...host.unsettled], 'no domain is unsettled').toEqual([])
  expect(host.reads.openIntents(), 'every intent has an outcome').toEqual([])
  expect(machine.log.types()).not.toContain('BlockJobLost')
  expect(machine.log.types()).not.toContain('DriftDetected')
  const running = host.reads.running().map((row) => row.domain_uuid)
  expect(running.toSorted(), 'the processes are those of the log').toEqual(
    world.machines.map((one) => one.uuid).toSorted(),
  )
  for (const row of models.rows(blockJobsTable).all()) {
    const lives = running.includes(row.domain_uuid) && row.ended_at_us === null
    expect(row.ended_at_us !== null || lives, `job ${row.job_id} has an end or lives`).toBe(true)
  }
  for (const uuid of running) {
    const jobs = await daemon.driver.queryJobs(uuid, never)
    const known = host.reads.jobs(uuid).map((row) => row.job_id)
    expect(jobs.map((job) => job.jobId).toSorted(), 'the jobs are those of the log').toEqual(known.toSorted())
    for (const { target, layers } of await daemon.driver.queryChains(uuid, never)) {
      expect(daemon.chain(uuid, target), `chain of ${target}`).toEqual(layers.map((layer) => layer.path))
    }
    const state = host.reads.byUuid(uuid)?.run?.state
    expect(world.machine(uuid)?.cpus === 'running' ? 'running' : 'paused', 'state').toBe(state)
  }
  for (const claim of models.rows(claimsTable).all()) {
    const isHeld =
      claim.kind === 'name' ? host.reads.byUuid(claim.domain_uuid) !== null : running.includes(claim.domain_uuid)
    expect(isHeld, `claim ${claim.kind} "${claim.subject}" has a holder`).toBe(true)
  }
  for (const uuid of new Set([...models.rows(domainStatesTable).all()].map((row) => row.domain_uuid))) {
    const domain = await machine.domain(uuid)
    const rows = [...models.rows(diskLayersTable).all()].filter((row) => row.domain_uuid === uuid)
    const inModel = Object.entries(domain.chains.byDisk).flatMap(([disk, layers]) =>
      layers.map((layer, ordinal) => `${disk} ${ordinal} ${layer.index} ${layer.path}`),
    )
    expect(
      rows.map((row) => `${row.disk} ${row.ordinal} ${row.layer} ${row.path}`).toSorted(),
      'rows of chains are the chains of the model',
    ).toEqual(inModel.toSorted())
  }
  const replayed = new MemoryRows(allProjections)
  for (const event of machine.log.events) replayed.apply(event)
  expect(models.snapshot(), 'rows are those of a replay').toEqual(replayed.snapshot())
}
