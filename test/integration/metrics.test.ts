import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, readConfig } from '../../src/config.ts'
import { writeLastVerify } from '../../src/last-verify.ts'
import { metricTable } from '../../src/metrics/metric-table.ts'
import { type RunningDaemon, startDaemon } from '../support/running-daemon.ts'

interface Answer {
  readonly status: number
  readonly text: string
}

type Place = { readonly host: string; readonly port: number } | { readonly socketPath: string }

function placeOf(target: string): Place {
  const [, path] = /^unix:(.+)$/.exec(target) ?? []
  if (path !== undefined) return { socketPath: path }
  const { hostname, port } = new URL(`http://${target}`)
  return { host: hostname, port: Number(port) }
}

async function ask(
  target: string,
  { method = 'GET', path = '/metrics', headers = {}, body = '' }: AskOptions = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const asked = request({ ...placeOf(target), method, path, headers, agent: false }, (response) => {
    readAll(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject)
  })
  asked.on('error', reject)
  asked.end(body)
  return await promise
}

interface AskOptions {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** The values of a text, by name and labels as they stand there. */
function valuesOf(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}

describe('chronovisor daemon --metrics', () => {
  let daemon: RunningDaemon
  beforeAll(async () => {
    daemon = await startDaemon({ driver: 'test', flags: ['--metrics', '127.0.0.1:0'] })
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  const target = (): string => daemon.file().metrics ?? ''
  const values = async (): Promise<ReadonlyMap<string, number>> => valuesOf((await ask(target())).text)

  test('serves every metric of the table with its help, and those of the process', async () => {
    expect(
      writeLastVerify(daemon.stateDir, { atUs: 1_700_000_000_500_000n, seconds: 2.5, events: 7n, findings: 0 }),
    ).toBe(true)
    const { status, text } = await ask(target())
    expect(status).toBe(200)
    for (const { name, help, kind } of metricTable) {
      expect(text).toContain(`# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${name}`)
    }
    expect(text).toContain('process_cpu_seconds_total')
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds')
    const found = valuesOf(text)
    expect(found.get('chronovisor_last_verify_timestamp_seconds')).toBe(1_700_000_000.5)
    expect(found.get('chronovisor_last_verify_duration_seconds')).toBe(2.5)
    expect(found.get('chronovisor_last_verify_events')).toBe(7)
  })

  test('counts what the log counts', async () => {
    const log = await daemon.cli('log', '--json')
    const events = log.out.trim().split('\n').length
    const found = await values()
    const position = found.get('chronovisor_log_head_position') ?? 0
    expect(position).toBeGreaterThanOrEqual(events - 1)
    expect(found.get('chronovisor_log_available')).toBe(1)
    expect(found.get('chronovisor_log_epoch')).toBe(1)
    // The fence commit was before the writer: it is in the log, and not among what the writer has done.
    expect(found.get('chronovisor_commit_size_events_sum')).toBe(position)
    expect(found.get('chronovisor_commits_total')).toBe((found.get('chronovisor_log_head_commit') ?? 0) - 1)
    expect(found.get('chronovisor_commits_total')).toBe(found.get('chronovisor_commit_duration_seconds_count'))
    expect(found.get('chronovisor_append_duration_seconds_bucket{le="+Inf"}')).toBe(
      found.get('chronovisor_append_duration_seconds_count'),
    )
    expect(found.get('chronovisor_appends_refused_total{reason="busy"}')).toBe(0)
    expect(found.get('chronovisor_projection_position{projection="domain_states"}')).toBe(position)
    expect(found.get('chronovisor_projection_lag_events{projection="domain_states"}')).toBe(0)
    expect(found.get('chronovisor_ring_events')).toBe(position)
    expect(found.get('chronovisor_last_checkpoint_events')).toBeGreaterThan(0)
  })

  test('needs no connection to the database where nothing lags', async () => {
    const pid = (await readFile(join(daemon.stateDir, 'postgresql/data/postmaster.pid'), 'utf8')).split('\n')[0]
    process.kill(Number(pid), 'SIGSTOP')
    try {
      expect((await values()).get('chronovisor_log_head_position')).toBeGreaterThan(0)
    } finally {
      process.kill(Number(pid), 'SIGCONT')
    }
  })

  test.each([
    { wish: { path: '/' }, status: 404 },
    { wish: { path: '/metrics/../etc' }, status: 404 },
    { wish: { method: 'POST', body: 'x' }, status: 405 },
    { wish: { method: 'DELETE' }, status: 405 },
    { wish: { headers: { 'transfer-encoding': 'chunked' }, body: 'x' }, status: 413 },
    { wish: { headers: { host: 'attacker.example' } }, status: 403 },
    { wish: { path: '/metrics?name=x' }, status: 200 },
  ])('answers $wish with $status', async ({ wish, status }) => {
    expect((await ask(target(), wish)).status).toBe(status)
  })

  test('closes connections that send something else', async () => {
    const { host, port } = { host: '', port: 0, ...placeOf(target()) }
    for (const bytes of ['\0\x01\x02\r\n\r\n', `GET /metrics HTTP/1.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`]) {
      const socket = connect(port, host)
      socket.on('error', () => undefined)
      socket.end(bytes)
      expect(await readAll(socket).catch(() => '')).toBe('')
    }
    expect((await ask(target())).status).toBe(200)
  })
})

describe('a daemon with --metrics unix:PATH', () => {
  test('lets only its own user in', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'metrics-'))
    const path = join(directory, 'm')
    await using daemon = await startDaemon({ driver: 'test', flags: ['--metrics', `unix:${path}`] })
    expect(daemon.file().metrics).toBe(`unix:${path}`)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect((await ask(`unix:${path}`)).text).toContain('chronovisor_log_available 1\n')
    rmSync(directory, { recursive: true })
  })
})

describe('readConfig()', () => {
  test('serves no metrics unless told', () => {
    expect(readConfig({}, {}).metrics).toBeNull()
    expect(readConfig({ metrics: '[::1]:9090' }, {}).metrics).toEqual({ kind: 'tcp', host: '::1', port: 9090 })
  })

  test.each(['0.0.0.0:9090', '192.168.1.1:9090', 'example.org:1', '127.0.0.1', '127.0.0.1:65536', ':9090', 'unix:'])(
    'refuses --metrics "%s"',
    (text) => {
      expect(() => readConfig({ metrics: text }, {})).toThrow(ConfigError)
      expect(() => readConfig({ metrics: text }, {})).toThrow(`Cannot use --metrics "${text}"`)
    },
  )
})
