import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { CliError } from './cli-error.ts'
import { ask, tourDomain, tourReason, type TourRequest } from './tour-client.ts'
import type { Ended, TourStage } from './tour-stage.ts'

/** Something that an act does: ask the daemon as a client, call this program, or act by itself. */
export type ActStep =
  | { readonly kind: 'ask'; readonly request: TourRequest }
  | { readonly kind: 'cli'; readonly words: string | ((stage: TourStage) => Promise<string>) }
  | {
      readonly kind: 'do'
      readonly run: (stage: TourStage) => Promise<{ readonly typed: string; readonly ended: Ended }>
    }

/** One act of the tour. */
export interface Act {
  readonly title: string
  readonly says: string
  readonly steps: readonly ActStep[]
  /** True where it needs image files that really exist. */
  readonly onlyReal?: true
}

/** What is written above the snapshot, in MiB, with this byte. */
const written = { mib: 24, byte: '0x5a' } as const
const pivotLimitMs = 45_000
const pollMs = 250

const client = (request: TourRequest): ActStep => ({ kind: 'ask', request })
const cli = (words: string | ((stage: TourStage) => Promise<string>)): ActStep => ({ kind: 'cli', words })
const act = (run: (stage: TourStage) => Promise<{ readonly typed: string; readonly ended: Ended }>): ActStep => ({
  kind: 'do',
  run,
})

/** The acts in their order. */
export const acts: readonly Act[] = [
  {
    title: 'A daemon of its own',
    says: 'It brings its own PostgreSQL, which holds the log. The first start makes the database; later starts take a moment.',
    steps: [act(startDaemon)],
  },
  {
    title: 'Define a domain',
    says: 'Any libvirt client can do this. The definition becomes an event: who, by which program, what, when.',
    steps: [act(makeDisk), client('define'), cli('log')],
  },
  {
    title: 'Start it, take a snapshot, stop it',
    says: 'The intent is recorded before QEMU is touched, the outcome after it. The snapshot puts an overlay on the disk: what is written from now on goes there.',
    steps: [client('start'), client('list'), client('snapshot'), client('destroy'), cli(`chain ${tourDomain} vda`)],
  },
  {
    title: 'Write to the overlay, behind the daemon’s back',
    says: `The tour’s guest has no operating system, so the tour writes ${written.mib} MiB itself. At the next start the daemon sees by stat that the file is not the one it knew, reads the headers again, and finds the same chain.`,
    onlyReal: true,
    steps: [act(writeToOverlay)],
  },
  {
    title: 'Merge the overlay into its base, while the domain runs',
    says: `The URI says why (reason=${tourReason}) and that the daemon shall pivot by itself when both sides are equal (on-ready=pivot). The speed is limited so that there is time for the next act.`,
    steps: [client('start'), client('commit'), cli('jobs')],
  },
  {
    title: 'Kill the daemon in the middle',
    says: 'SIGKILL, as a crash would. The domain does not notice: QEMU goes on, and so does its job.',
    steps: [act(killDaemon)],
  },
  {
    title: 'Start it again',
    says: 'It takes over its PostgreSQL, reads the rows it had, asks QEMU what became of the job, and finishes what was asked for before the crash.',
    steps: [act(startDaemon), act(awaitPivot), client('disks'), cli(`chain ${tourDomain} vda`)],
  },
  {
    title: 'Who did that, and why?',
    says: 'Every event leads to what caused it, across the crash.',
    steps: [cli('log -n 12'), cli(async (stage) => `why @${await positionOfPivot(stage)}`)],
  },
  {
    title: 'Look back',
    says: 'The chain as it was just before the pivot: every read model keeps the rows of every moment.',
    steps: [cli(async (stage) => `chain ${tourDomain} vda --as-of @${(await positionOfPivot(stage)) - 1n}`)],
  },
  {
    title: 'Nothing is lost',
    says: `All ${written.mib} MiB that were written to the overlay are in the base now.`,
    onlyReal: true,
    steps: [client('destroy'), act(readBack)],
  },
  {
    title: 'Prove it',
    says: 'The log is replayed from its beginning and compared with every row of every view; then the invariants are checked.',
    steps: [cli('replay --check'), cli('check --all')],
  },
  { title: 'Clean up', says: 'Even what is gone stays in the log.', steps: [act(endDomain), cli('log -n 3')] },
]

const done = (text: string): Ended => ({ status: 0, text })

async function startDaemon(stage: TourStage) {
  const ms = await stage.startDaemon()
  return {
    typed: 'chronovisor daemon',
    ended: done(`process ${stage.daemonPid()} serves after ${(ms / 1_000).toFixed(1)} s\nURI=${stage.uri()}`),
  }
}

async function makeDisk(stage: TourStage) {
  const typed = 'qemu-img create -f qcow2 system.qcow2 64M'
  if (!stage.isReal) return { typed, ended: done('(the test driver makes the image up)') }
  return { typed, ended: await stage.run('qemu-img', ['create', '-q', '-f', 'qcow2', stage.at('system.qcow2'), '64M']) }
}

async function writeToOverlay(stage: TourStage) {
  return await qemuIo(stage, `write -P ${written.byte} 0 ${written.mib}M`, 'system.before-upgrade')
}

async function readBack(stage: TourStage) {
  return await qemuIo(stage, `read -P ${written.byte} 0 ${written.mib}M`, 'system.qcow2')
}

async function qemuIo(stage: TourStage, command: string, image: string) {
  const ended = await stage.run('qemu-io', ['-f', 'qcow2', '-c', command, stage.at(image)])
  // It tells a wrong pattern by words, and ends with 0.
  const status = /verification failed/i.test(ended.text) ? 1 : ended.status
  return { typed: `qemu-io -c "${command}" ${image}`, ended: { status, text: ended.text } }
}

async function killDaemon(stage: TourStage) {
  const pid = stage.daemonPid()
  const before = stage.hypervisors()
  await stage.killDaemon()
  const after = stage.hypervisors()
  const survived = before.every((one) => after.includes(one))
  const text = stage.isReal ? `QEMU, process ${after.join(', ')}, goes on` : 'The test driver keeps its world in a file'
  return {
    typed: `kill -9 ${pid}`,
    ended: { status: survived ? 0 : 1, text: survived ? text : 'QEMU ended with the daemon' },
  }
}

/** Waits for the end of the job that the killed daemon had begun. */
async function awaitPivot(stage: TourStage) {
  const typed = 'chronovisor jobs'
  const jobs = await stage.chronovisor(['jobs'])
  const first = jobs.status === 0 ? jobs.text : '(it has ended while the daemon was away)'
  const deadline = performance.now() + pivotLimitMs
  for (;;) {
    const { text } = await ask(stage, 'disks')
    if (text.includes('system.qcow2')) return { typed, ended: done(`${first}\n… and then the disk is the base again`) }
    if (performance.now() > deadline)
      return { typed, ended: { status: 1, text: `${first}\nThe disk is still the overlay: ${text}` } }
    await sleep(pollMs)
  }
}

const eventsSchema = v.pipe(v.string(), v.parseJson(), v.array(v.looseObject({ position: v.string() })))

async function positionOfPivot(stage: TourStage): Promise<bigint> {
  const { text } = await stage.chronovisor(['log', '--type', 'BlockJobPivoted', '--json'])
  const events = v.safeParse(eventsSchema, text)
  const last = events.success ? events.output.at(-1) : undefined
  if (last === undefined) throw new CliError(`The tour finds no pivot in the log: ${text.slice(0, 500)}`)
  return BigInt(last.position)
}

async function endDomain(stage: TourStage) {
  if (!stage.isReal) await ask(stage, 'destroy')
  const { typed, status, text } = await ask(stage, 'undefine')
  return { typed, ended: { status, text } }
}
