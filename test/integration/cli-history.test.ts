import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { capsAuditCommand } from '../../src/cli/caps-audit-command.ts'
import { capsInvalidationsCommand } from '../../src/cli/caps-invalidations-command.ts'
import { capsListCommand, capsShowCommand } from '../../src/cli/caps-list-command.ts'
import { chainCommand } from '../../src/cli/chain-command.ts'
import { checkCommand } from '../../src/cli/check-command.ts'
import { jobsCommand } from '../../src/cli/jobs-command.ts'
import { logCommand } from '../../src/cli/log-command.ts'
import { replayCommand } from '../../src/cli/replay-command.ts'
import { statusCommand } from '../../src/cli/status-command.ts'
import { traceCommand, whyCommand } from '../../src/cli/why-command.ts'
import { xmlCommand } from '../../src/cli/xml-command.ts'
import type { Run } from '../../src/cli/invocation.ts'
import { type CliRun, runCli } from '../support/cli-run.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import { commitCommand, commitJob, emulatorPath, firstCaps, StoryLog, web } from '../support/story-log.ts'

const xml = `<domain type='kvm'>
  <name>web</name>
  <memory>1024</memory>
  <os><type>hvm</type></os>
  <devices><disk type='file'><source file='/images/base.qcow2'/><target dev='vda'/></disk></devices>
</domain>`
const bigger = xml.replace('1024', '2048')

let server: ScratchPostgres
let database = ''
/** Positions of the story. */
let at: Record<
  'defined' | 'started' | 'snapshot' | 'commit' | 'pivoted' | 'redefined' | 'refused' | 'invalidated',
  bigint
>

beforeAll(async () => {
  server = await ScratchPostgres.start()
  const address = await server.createDatabase()
  database = address.database ?? ''
  await using story = await StoryLog.open(address)
  await story.probe()
  await story.claimName()
  const defined = await story.define(xml, { reason: 'CHG-1' })
  await story.detectChain()
  const started = await story.start(xml)
  const snapshot = await story.snapshot()
  const commit = await story.requestCommit({ reason: 'CHG-2' })
  const pivoted = await story.pivot()
  const redefined = await story.define(bigger)
  const refused = await story.refuse()
  at = { defined, started, snapshot, commit, pivoted, redefined, refused, invalidated: await story.invalidate() }
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

/** Runs a subcommand on the story with these positional arguments and options. */
function cli(run: Run, args: readonly string[] = [], options: Record<string, unknown> = {}): Promise<CliRun> {
  return runCli(run, { database: url(database), socketDir: '/nonexistent' }, { args, options })
}

function url(name: string): string {
  return `postgres://log@localhost/${name}?host=${encodeURIComponent(server.socketDir)}`
}

function lines({ text }: CliRun): readonly string[] {
  return text.split('\n')
}

describe('log', () => {
  test('shows every event with who, what and why', async () => {
    const run = await cli(logCommand)
    expect(run.code).toBe(0)
    expect(lines(run)).toHaveLength(Number(at.invalidated) + 2)
    const [line = ''] = lines(run).filter((text) => text.includes('BlockJobRequested'))
    for (const part of [
      `@${at.commit}`,
      'virsh[4711]',
      'web',
      'active_commit of vda',
      'DOMAIN_BLOCK_COMMIT',
      'because: CHG-2',
    ]) {
      expect(line).toContain(part)
    }
  })

  test('takes a domain, a stream, types, a range, the last ones, newest first', async () => {
    expect(lines(await cli(logCommand, ['web']))).toHaveLength(11)
    expect(lines(await cli(logCommand, ['refusals-0']))).toHaveLength(2)
    const typed = await cli(logCommand, [], { type: 'domaindefined, CommandRefused' })
    expect(
      lines(typed)
        .slice(1)
        .map((line) => line.trim().split(/\s/)[0]),
    ).toEqual([`@${at.defined}`, `@${at.redefined}`, `@${at.refused}`])
    const range = await cli(logCommand, ['web'], { since: `@${at.snapshot}`, until: `@${at.commit}` })
    expect(lines(range)).toHaveLength(3)
    const last = await cli(logCommand, [], { number: '2' })
    expect(lines(last)[2]).toContain(`@${at.invalidated}`)
    const reverse = await cli(logCommand, [], { reverse: true, number: '1' })
    expect(lines(reverse)).toHaveLength(2)
    expect(lines(reverse)[1]).toContain(`@${at.invalidated}`)
  })

  test('as documents holds everything that was recorded', async () => {
    const run = await cli(logCommand, ['web'], { type: 'BlockJobPivoted', json: true })
    const [event] = JSON.parse(run.text)
    expect(event).toMatchObject({
      position: String(at.pivoted),
      type: 'BlockJobPivoted',
      stream: `domain-${web}`,
      correlationId: commitCommand,
      actor: { program: '/usr/bin/virsh', pid: 4711 },
      data: { jobId: commitJob, chain: [1] },
    })
    expect(JSON.parse((await cli(logCommand, [], { json: true })).text)).toHaveLength(Number(at.invalidated) + 1)
  })

  test('ends with 1 where nothing matches, and refuses what it does not know with alternatives', async () => {
    expect(await cli(logCommand, [], { type: 'ClockJumped' })).toEqual({ code: 1, text: '' })
    expect(await cli(logCommand, [], { type: 'ClockJumped', json: true })).toEqual({ code: 1, text: '[]' })
    await expect(cli(logCommand, ['wbe'])).rejects.toThrow(
      'Cannot find domain "wbe": no domain ever had this name or UUID; known are "web"',
    )
    await expect(cli(logCommand, [], { type: 'DomainDefine' })).rejects.toThrow('"DomainDefined"')
    await expect(cli(logCommand, [], { number: '0' })).rejects.toThrow('Cannot use -n "0"')
    await expect(cli(logCommand, [], { follow: true, reverse: true })).rejects.toThrow('it has no end yet')
  })
})

describe('xml', () => {
  test('gives the definition of a moment, by position and by time', async () => {
    expect((await cli(xmlCommand, ['web'], { inactive: true })).text).toBe(bigger)
    expect((await cli(xmlCommand, ['web'], { asOf: `@${at.defined}` })).text).toBe(xml)
    const time = JSON.parse((await cli(logCommand, [], { type: 'BlockJobPivoted', json: true })).text)[0].recordedAt
    expect((await cli(xmlCommand, [web], { asOf: time, inactive: true })).text).toBe(xml)
  })

  test('gives the running definition with the chain of that moment, and the submitted bytes', async () => {
    const sources = async (position: bigint): Promise<readonly string[]> => {
      const { text } = await cli(xmlCommand, ['web'], { asOf: `@${position}` })
      expect(text).toMatch(/^<domain type='kvm' id='1'>\n {2}<name>web<\/name>/)
      return [...text.matchAll(/<source file='([^']*)'/g)].map(([, file]) => file ?? '')
    }
    expect(await sources(at.started)).toEqual(['/images/base.qcow2'])
    expect(await sources(at.snapshot)).toEqual(['/images/base.s1', '/images/base.qcow2'])
    expect(await sources(at.pivoted)).toEqual(['/images/base.qcow2'])
    const document = JSON.parse((await cli(xmlCommand, ['web'], { asOf: `@${at.commit}`, json: true })).text)
    expect(document).toMatchObject({ sincePosition: String(at.snapshot) })
    expect((await cli(xmlCommand, ['web'], { submitted: true })).text).toBe(bigger.replaceAll('\n', ''))
  })

  test('shows what changed', async () => {
    const run = await cli(xmlCommand, ['web'], { asOf: `@${at.defined}`, diff: 'now', inactive: true })
    expect(run.code).toBe(0)
    expect(lines(run)).toEqual(expect.arrayContaining(['-  <memory>1024</memory>', '+  <memory>2048</memory>']))
    expect(
      (await cli(xmlCommand, ['web'], { asOf: `@${at.started}`, diff: `@${at.pivoted}`, inactive: true })).code,
    ).toBe(1)
  })

  test('ends with 1 before the domain was, and refuses the future', async () => {
    expect(await cli(xmlCommand, ['web'], { asOf: `@${at.defined - 1n}` })).toEqual({ code: 1, text: '' })
    await expect(cli(xmlCommand, ['web'], { asOf: '@999' })).rejects.toThrow(`the log ends at @${at.invalidated}`)
    await expect(cli(xmlCommand, ['web'], { asOf: '2999-01-01T00:00:00Z' })).rejects.toThrow('it has not come yet')
    await expect(cli(xmlCommand, ['web'], { submitted: true, inactive: true })).rejects.toThrow(
      'Cannot use --submitted',
    )
  })
})

describe('chain', () => {
  test('shows the layers and what took out the file that left', async () => {
    const run = await cli(chainCommand, ['web', 'vda'])
    expect(run.code).toBe(0)
    expect(run.text).toMatch(/1 +\/images\/base.qcow2 +qcow2 +active +1.0 GiB .* detection/)
    expect(run.text).toMatch(new RegExp(`/images/base.s1 .* @${at.pivoted} +BlockJobPivoted`))
  })

  test('shows a moment, and documents', async () => {
    const run = await cli(chainCommand, ['web'], { asOf: `@${at.commit}`, json: true })
    expect(JSON.parse(run.text)).toMatchObject({
      domain: 'web',
      disks: [
        {
          disk: 'vda',
          layers: [
            { path: '/images/base.s1', role: 'active', createdBy: 'snapshot s1', sincePosition: String(at.snapshot) },
            { path: '/images/base.qcow2', role: 'base', createdBy: 'detection' },
          ],
          left: [],
        },
      ],
    })
    await expect(cli(chainCommand, ['web', 'vdb'])).rejects.toThrow('known are "vda"')
    expect((await cli(chainCommand, ['web'], { asOf: `@${at.defined}` })).code).toBe(1)
  })
})

describe('jobs, why and trace', () => {
  test('jobs shows running ones, and with --all those that ended', async () => {
    expect(await cli(jobsCommand)).toEqual({ code: 1, text: '' })
    const all = await cli(jobsCommand, [], { all: true })
    expect(all.text).toMatch(new RegExp(`web +vda +active_commit +pivoted +.* virsh +${commitJob} +CHG-2`))
    expect((await cli(jobsCommand, [], { all: true, domain: 'web', json: true })).text).toContain('"state": "pivoted"')
    expect((await cli(jobsCommand, [], { failed: true })).code).toBe(1)
    expect((await cli(jobsCommand, [], { since: '-1h' })).code).toBe(0)
    expect((await cli(jobsCommand, [], { since: `@${at.redefined}` })).code).toBe(1)
  })

  test('why leads an outcome to who asked for it and why', async () => {
    const run = await cli(whyCommand, [`@${at.pivoted}`])
    expect(run.code).toBe(0)
    expect(run.text).toContain('reason        CHG-2')
    expect(run.text).toContain('At the beginning stands virsh[4711] by DOMAIN_BLOCK_COMMIT: CHG-2.')
    const causes = JSON.parse((await cli(whyCommand, [String(at.pivoted)], { json: true })).text).causes
    expect(causes.map((cause: { type: string }) => cause.type)).toEqual(['BlockJobPivoting', 'BlockJobRequested'])
    await expect(cli(whyCommand, ['@9999'])).rejects.toThrow('the log ends at')
    await expect(cli(whyCommand, ['web'])).rejects.toThrow('it must be the position of an event')
  })

  test('trace shows everything of one request, by command or job', async () => {
    for (const id of [commitCommand, commitJob]) {
      const events = JSON.parse((await cli(traceCommand, [id], { json: true })).text)
      expect(events.map((event: { type: string }) => event.type)).toEqual([
        'BlockJobRequested',
        'BlockJobPivoting',
        'BlockJobPivoted',
      ])
    }
    expect((await cli(traceCommand, ['0197c0de-0000-7000-8000-00000000dead'])).code).toBe(1)
    await expect(cli(traceCommand, ['web'])).rejects.toThrow('Cannot trace "web"')
  })
})

describe('caps', () => {
  test('list, show and invalidations tell of a version and who stood on it', async () => {
    expect((await cli(capsListCommand)).text).toMatch(
      new RegExp(`${emulatorPath} +x86_64 +7.2.22 +invalidated +${firstCaps}`),
    )
    expect((await cli(capsListCommand, [], { asOf: `@${at.defined}` })).text).toContain(' valid ')
    for (const name of [firstCaps, emulatorPath, 'qemu-system-x86_64']) {
      expect((await cli(capsShowCommand, [name])).text).toMatch(/machines +1, default pc/)
    }
    expect(JSON.parse((await cli(capsShowCommand, [firstCaps], { json: true })).text)).toMatchObject({
      capsId: firstCaps,
      inode: '10',
      document: { flags: ['a', 'b'] },
    })
    await expect(cli(capsShowCommand, ['caps-2'])).rejects.toThrow(`"${firstCaps}"`)
    const [dead] = JSON.parse((await cli(capsInvalidationsCommand, [], { json: true })).text)
    expect(dead).toMatchObject({
      reason: 'operator_request',
      detectedBy: 'CAPS_FORGET',
      definedDomains: ['web'],
      runningDomains: ['web'],
    })
    expect((await cli(capsInvalidationsCommand, [], { since: `@${at.invalidated + 1n}` })).code).toBe(1)
  })

  test('audit finds nothing in the story, and ends with 3 where a version was used on changed facts', async () => {
    expect(await cli(capsAuditCommand)).toMatchObject({ code: 0, text: expect.stringContaining('justified') })
    const address = await server.createDatabase()
    await using story = await StoryLog.open(address)
    await story.probe(firstCaps, { sizeBytes: 999n })
    const bad = await story.define(xml)
    const place = { database: url(address.database ?? ''), socketDir: '/nonexistent' }
    const run = await runCli(capsAuditCommand, place)
    expect(run).toMatchObject({
      code: 3,
      text: expect.stringContaining('facts had changed, and the version was still used'),
    })
    expect(run.text).toContain(`@${bad}`)
    expect((await runCli(capsAuditCommand, place, { options: { since: `@${bad + 1n}` } })).code).toBe(0)
  })
})

describe('status, replay and check', () => {
  test('status of a database tells of the log', async () => {
    const { log, daemon } = JSON.parse((await cli(statusCommand, [], { json: true })).text)
    expect(daemon).toBeNull()
    expect(log).toMatchObject({ position: String(at.invalidated), defined: 1, running: 1, jobs: 0 })
    const behind = log.projections.filter((each: { lagEvents: string; state: string }) => each.lagEvents !== '0')
    expect(log.projections.length).toBeGreaterThan(5)
    expect(behind).toEqual([])
  })

  test('replay --check says identical, check --all finds nothing', async () => {
    expect(await cli(replayCommand, [], { check: true })).toMatchObject({
      code: 0,
      text: expect.stringMatching(/identical \(tables, .*\)$/),
    })
    await expect(cli(replayCommand)).rejects.toThrow('say --check')
    const { checks, findings } = JSON.parse((await cli(checkCommand, [], { all: true, json: true })).text)
    expect(findings).toBe(false)
    expect(Object.fromEntries(checks.map((check: { id: string; state: string }) => [check.id, check.state]))).toEqual({
      ...{ I2: 'ok', I3: 'ok', I4: 'ok', I5: 'ok', I6: 'ok', I7: 'skipped', I8: 'ok', I9: 'ok', I10: 'ok' },
      ...{ intents: 'ok', streams: 'ok' },
    })
  })

  test.each([
    ['a row of a read model', `update disk_layers set path = '/elsewhere' where to_position is null`, 'I6'],
    [
      'the data of an event',
      `set session_replication_role = replica; update event set data = replace(convert_from(data, 'UTF8'), 'CHG', 'CHX')::bytea where pos = 3; update event set meta = replace(convert_from(meta, 'UTF8'), 'CHG-1', 'CHG-9')::bytea where pos = 3`,
      'I5',
    ],
    [
      'the time of a commit',
      `set session_replication_role = replica; update commit set at_us = at_us - 3600000000 where commit_no = 4`,
      'I4',
    ],
    [
      'a root',
      `set session_replication_role = replica; update commit set root = sha256('x') where commit_no = 4`,
      'I5',
    ],
    ['a revision', `set session_replication_role = replica; update event set revision = 700 where pos = 5`, 'I4'],
    ['an event', `set session_replication_role = replica; delete from event where pos = 5`, 'I4'],
    [
      'an event id',
      `set session_replication_role = replica; update event set event_id = (select event_id from event where pos = 3) where pos = 5`,
      'I3',
    ],
    ['the end of a job', `update block_jobs set ended_at_us = null; update domain_states set domain_id = -1`, 'I8'],
    [
      'the end of an intent',
      `update open_intents set to_position = null, valid_to = null where intent = 'DomainStartRequested'`,
      'I9',
    ],
    [
      'a quarantined stream',
      `insert into dead_letter (projection, stream, position, at_us, error) values ('claims', 'name-web', 2, 1, 'poison')`,
      'streams',
    ],
  ])('check --all ends with 3 and names the invariant when somebody altered %s', async (_what, sql, id) => {
    const copy = `${database}_${Math.random().toString(36).slice(2, 8)}`
    await server.run('postgres', `create database ${copy} template ${database}`)
    await server.run(copy, sql)
    const run = await runCli(
      checkCommand,
      { database: url(copy), socketDir: '/nonexistent' },
      { options: { all: true, json: true } },
    )
    const { checks } = JSON.parse(run.text)
    expect(run.code).toBe(3)
    expect(
      checks.filter((check: { state: string }) => check.state === 'finding').map((check: { id: string }) => check.id),
    ).toContain(id)
  })

  test('replay --check shows the altered row', async () => {
    const copy = `${database}_replay`
    await server.run('postgres', `create database ${copy} template ${database}`)
    await server.run(copy, `update disk_layers set path = '/elsewhere' where to_position is null`)
    const run = await runCli(
      replayCommand,
      { database: url(copy), socketDir: '/nonexistent' },
      { options: { check: true } },
    )
    expect(run.code).toBe(3)
    expect(run.text).toMatch(/disk_layers +\d+ +2 differences/)
    expect(run.text).toMatch(/disk_layers, only stored: .*\/elsewhere/)
    const left = await server.run(copy, `select nspname from pg_namespace where nspname like 'replay%'`)
    expect(left.rowCount).toBe(0)
  })
})

test('reading never writes: the connections are read-only', async () => {
  const { openHistory } = await import('../../src/cli/history.ts')
  await using history = await openHistory({ database: url(database), socketDir: '/nonexistent' })
  await expect(history.rows('create table x ()')).rejects.toThrow('read-only transaction')
})

test('openHistory() says where it looked', async () => {
  const place = { socketDir: '/nonexistent' }
  await expect(runCli(logCommand, { ...place, database: null })).rejects.toThrow('"/nonexistent" has no daemon.json')
  await expect(runCli(logCommand, { ...place, database: url('postgres') })).rejects.toThrow('it holds no event log')
  await expect(runCli(logCommand, { ...place, database: url('absent') })).rejects.toThrow(
    'database "absent" does not exist',
  )
})
