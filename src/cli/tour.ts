import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'
import { type Output, toned } from './output.ts'
import { type Act, acts } from './tour-acts.ts'
import { ask, tourDefinition } from './tour-client.ts'
import { type Ended, TourStage } from './tour-stage.ts'

const lineWidth = 100
const mostLines = 24

/** `chronovisor tour`: the main story, played on a daemon of its own. Ends with 0 when every step did what it says. */
export async function tourCommand({ out }: Invocation): Promise<number> {
  const startedMs = performance.now()
  await using stage = new TourStage()
  stage.write('tour.xml', tourDefinition(stage))
  out.lines(opening(stage))
  const played = acts.filter(({ onlyReal = false }) => stage.isReal || !onlyReal)
  for (const [at, act] of played.entries()) {
    out.lines(['', toned(out, 'heading', `${at + 1}. ${act.title}`), ...wrap(act.says)])
    const failed = await play(stage, act, out)
    if (failed === null) continue
    out.lines(['', toned(out, 'bad', `The tour ends here: ${failed}`)])
    return exitCode.error
  }
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(0)
  out.lines([
    '',
    ...wrap(`That was the tour, in ${seconds} s. Its daemon, its PostgreSQL and its files are removed now.`),
  ])
  return exitCode.found
}

function opening(stage: TourStage): readonly string[] {
  const domains = stage.isReal
    ? `real QEMU processes (${stage.virtType === 'kvm' ? 'KVM' : 'emulated'})`
    : 'the built-in test driver, as QEMU is not installed'
  const client = stage.hasVirsh ? 'virsh, unmodified' : 'the built-in client, as virsh is not installed'
  return wrap(
    `A tour of chronovisor. Domains: ${domains}. Client: ${client}. Everything happens in ${stage.directory}, with a daemon of its own.`,
  )
}

/** Plays one act; gives why it failed, or null. */
async function play(stage: TourStage, act: Act, out: Output): Promise<string | null> {
  for (const step of act.steps) {
    switch (step.kind) {
      case 'ask': {
        const asked = await ask(stage, step.request)
        show(out, asked.typed, asked)
        if (asked.status !== 0) return `"${asked.typed}" ended with ${asked.status}`
        break
      }
      case 'cli': {
        const words = typeof step.words === 'string' ? step.words : await step.words(stage)
        const ended = await stage.chronovisor(words.split(' '))
        show(out, `chronovisor ${words}`, ended)
        if (ended.status !== 0) return `"chronovisor ${words}" ended with ${ended.status}`
        break
      }
      case 'do': {
        const { typed, ended } = await step.run(stage)
        show(out, typed, ended)
        if (ended.status !== 0) return `"${typed}" ended with ${ended.status}`
        break
      }
    }
  }
  return null
}

function show(out: Output, typed: string, ended: Ended): void {
  const lines = ended.text === '' ? [] : ended.text.split('\n').filter((line) => line.trim() !== '')
  const shown =
    lines.length <= mostLines ? lines : [...lines.slice(0, mostLines), `… and ${lines.length - mostLines} more lines`]
  out.lines([toned(out, 'good', `   $ ${typed}`), ...shown.map((line) => `     ${line.trimEnd()}`)])
}

function wrap(text: string): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > lineWidth) {
      lines.push(line)
      line = ''
    }
    line += line === '' ? word : ` ${word}`
  }
  return [...lines, line].map((one) => `   ${one}`)
}
