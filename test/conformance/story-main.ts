import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { formatTable } from '../../src/cli/text-table.ts'
import { startPeerLibvirtd, whyNoPeer } from '../support/peer-libvirtd.ts'
import { startDaemon } from '../support/running-daemon.ts'
import { checkLog } from './check-log.ts'
import { compareStories, type Difference } from './compare.ts'
import type { Observation } from './observe.ts'
import { runStory } from './story.ts'
import { availableVirtType, type VirtType } from './story-world.ts'

const usage = `npm run conformance -- story [--quick] [--type kvm|qemu] [--known] [--json FILE]

Tells one story with virsh and python3-libvirt on real QEMU guests, to our daemon and to a private libvirtd where that is
installed, and compares what they show. Then the log of our daemon is checked.
  --quick      leave idle connections alone for 3 s instead of 60
  --type TYPE  kind of guests; kvm where it can be used, if not given
  --known      show the accepted differences too
  --json FILE  write every observation and difference`

function wantedType(type: string | undefined): VirtType {
  if (type === undefined) return availableVirtType()
  if (type === 'kvm' || type === 'qemu') return type
  throw new Error(`Cannot use --type "${type}": it is kvm or qemu`)
}

/** Runs `npm run conformance -- story`; gives the exit code: 0 where nothing unexplained was seen. */
export async function storyMain(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      type: { type: 'string' },
      known: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return 0
  }
  const virtType = wantedType(values.type)
  const idleSeconds = values.quick ? 3 : 60
  console.log(`Guests of type ${virtType}; idle connections for ${idleSeconds} s`)
  const { observations: ours, failures } = await tellOurs({ virtType, idleSeconds })
  const peer = await tellPeer({ virtType, idleSeconds })
  const differences = peer === null ? [] : compareStories(ours, peer)
  report(ours, { peer, differences, failures, known: values.known })
  if (values.json !== undefined)
    writeFileSync(values.json, JSON.stringify({ virtType, ours, peer, differences, failures }, null, 1))
  const unexplained = differences.filter(({ reason }) => reason === null)
  return unexplained.length + failures.length + ours.filter(({ wrong }) => wrong !== null).length === 0 ? 0 : 1
}

type Telling = { readonly virtType: VirtType; readonly idleSeconds: number }

async function tellOurs(
  telling: Telling,
): Promise<{ readonly observations: readonly Observation[]; readonly failures: readonly string[] }> {
  await using daemon = await startDaemon({ driver: 'qemu' })
  const directory = join(daemon.directory, 'images')
  const observations = await runStory({
    ...telling,
    uri: daemon.uri(),
    socketPath: daemon.socketPath(),
    directory,
    onStep,
  })
  process.stdout.write('\n')
  return { observations, failures: await checkLog(daemon) }
}

async function tellPeer(telling: Telling): Promise<readonly Observation[] | null> {
  const reason = whyNoPeer()
  if (reason !== null) {
    console.log(`No comparison: ${reason}`)
    return null
  }
  await using peer = await startPeerLibvirtd()
  chmodSync(peer.directory, 0o755)
  const directory = join(peer.directory, 'images')
  const observations = await runStory({ ...telling, uri: peer.uri(), socketPath: peer.socketPath, directory, onStep })
  process.stdout.write('\n')
  return observations
}

function onStep(): void {
  process.stdout.write('.')
}

interface Outcome {
  readonly peer: readonly Observation[] | null
  readonly differences: readonly Difference[]
  readonly failures: readonly string[]
  readonly known: boolean
}

function report(ours: readonly Observation[], { peer, differences, failures, known }: Outcome): void {
  const explained = differences.filter(({ reason }) => reason !== null)
  const unexplained = differences.filter(({ reason }) => reason === null)
  const fields = ours.reduce((sum, observation) => sum + Object.keys(observation.fields).length, 0)
  for (const [side, observations] of [
    ['ours', ours],
    ['libvirtd', peer ?? []],
  ] as const) {
    for (const { step, wrong } of observations) if (wrong !== null) console.log(`WRONG on ${side}: ${step}: ${wrong}`)
  }
  showDifferences('Differences that nobody has explained', { rows: unexplained, known })
  if (known) showDifferences('Accepted differences', { rows: explained, known })
  for (const failure of failures) console.log(`LOG: ${failure}`)
  const compared =
    peer === null ? 'not compared' : `${unexplained.length} unexplained and ${explained.length} accepted differences`
  console.log(`${ours.length} steps, ${fields} fields; ${compared}; ${failures.length} complaints about the log`)
}

function showDifferences(
  title: string,
  { rows, known }: { readonly rows: readonly Difference[]; readonly known: boolean },
): void {
  if (rows.length === 0) return
  const columns = ['STEP', 'FIELD', 'OURS', 'LIBVIRTD', ...(known ? ['REASON'] : [])].map((name) => ({
    title: name,
  }))
  const cells = rows.map(({ step, field, ours, peer, reason }) => [step, field, shown(ours), shown(peer), reason ?? ''])
  console.log([`\n${title}:`, ...formatTable(columns, cells), ''].join('\n'))
}

function shown(value: string | null): string {
  if (value === null) return '(absent)'
  return value.length > 60 ? `${value.slice(0, 59)}…` : value
}
