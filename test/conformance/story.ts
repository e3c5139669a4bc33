import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import * as v from 'valibot'
import { systemPython } from '../../src/cli/setup-packages.ts'
import { capture, type Captured } from '../support/capture.ts'
import { guestWriteCount, verifyGuestWrites } from '../support/guest-disk.ts'
import { type EventListener, startEventListener } from './event-listener.ts'
import { normaliseEvents, normaliseText } from './normalise.ts'
import { commandFields, namedLines, type Observation } from './observe.ts'
import { makeRawCall } from './raw-call.ts'
import { runSession } from './session.ts'
import type { Action, Step } from './step.ts'
import { storySteps } from './story-steps.ts'
import { makeStoryWorld, type VirtType } from './story-world.ts'
import type { Fields } from './xml-fields.ts'

const pythonStory = fileURLToPath(new URL('story.py', import.meta.url))
const waitLimitMs = 60_000

/** Where and how the story is told. */
export interface StoryOptions {
  readonly uri: string
  readonly socketPath: string
  /** A directory for its files; made if missing. The hypervisor's user must be able to get to it. */
  readonly directory: string
  readonly virtType: VirtType
  /** Seconds for which connections are left alone. */
  readonly idleSeconds: number
  readonly steps?: readonly Step[]
  /** Called before each step. */
  readonly onStep?: (step: Step) => void
}

interface Teller extends StoryOptions {
  readonly listener: EventListener
}

/** What an action gave: its fields, and the text that the step's own expectation is about. */
interface Shown {
  readonly fields: Fields
  readonly status: number | null
  readonly text: string
}

/** Tells the whole story to one daemon and says what was seen. A step that goes wrong does not end it. */
export async function runStory(options: StoryOptions): Promise<readonly Observation[]> {
  const { directory, virtType, uri, steps = storySteps } = options
  await makeStoryWorld(directory, virtType)
  await using listener = await startEventListener(uri)
  const observations: Observation[] = []
  for (const step of steps) {
    options.onStep?.(step)
    observations.push(await observe({ ...options, listener }, step))
  }
  return observations
}

async function observe(teller: Teller, step: Step): Promise<Observation> {
  try {
    const { fields, status, text } = await perform(teller, step.action)
    return { step: step.name, fields, wrong: whyWrong(step, { status, text }) }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { step: step.name, fields: { failure: 'yes' }, wrong: message }
  }
}

function whyWrong(step: Step, { status, text }: Pick<Shown, 'status' | 'text'>): string | null {
  const said = text.trim().slice(0, 600)
  if (status !== step.exit) return `it ended with ${status}, ${step.exit} was wanted: ${said}`
  if (step.says !== null && !step.says.test(text)) return `it does not show ${String(step.says)}: ${said}`
  return null
}

async function perform(teller: Teller, action: Action): Promise<Shown> {
  const { directory } = teller
  switch (action.kind) {
    case 'virsh': {
      const ended = await virsh(teller, action.words)
      return { fields: commandFields(ended, { shown: action.shown, directory }), ...ofCommand(ended) }
    }
    case 'until':
      return await until(teller, action)
    case 'session': {
      const ended = await runSession({
        uri: teller.uri,
        flags: action.flags,
        lines: action.lines,
        idleSeconds: teller.idleSeconds,
      })
      return { fields: commandFields(ended, { shown: { as: 'text' }, directory }), ...ofCommand(ended) }
    }
    case 'guest writes':
      return await guestWrites(placed(action.image, directory))
    case 'verify writes': {
      const { count, lost } = await verifyGuestWrites(placed(action.image, directory))
      const text = `${count > 0 ? 'it wrote' : 'it never wrote'}, ${lost.length} blocks are lost`
      return {
        fields: { writes: text },
        status: count > 0 && lost.length === 0 ? 0 : 1,
        text: `${text}: ${lost.join(' ')}`,
      }
    }
    case 'python':
      return await python(teller)
    case 'raw call': {
      const text = await makeRawCall(teller.socketPath, action.call)
      return { fields: { error: text }, status: 0, text }
    }
    case 'heard': {
      const text = normaliseEvents(normaliseText(await teller.listener.heard(action.event), directory))
      return { fields: namedLines(text.split('\n').map((line, at) => `${at + 1}: ${line}`)), status: 0, text }
    }
  }
}

const placed = (text: string, directory: string): string => text.replaceAll('{dir}', directory)

function virsh({ uri, directory }: StoryOptions, words: string): Promise<Captured> {
  return capture('virsh', ['-c', uri, ...words.split(' ').map((word) => placed(word, directory))], {
    timeoutMs: waitLimitMs,
  })
}

function ofCommand(ended: Captured): Pick<Shown, 'status' | 'text'> {
  return { status: ended.status, text: `${ended.out}${ended.err}` }
}

async function until(teller: Teller, { words, matches }: Extract<Action, { kind: 'until' }>): Promise<Shown> {
  const deadline = performance.now() + waitLimitMs
  for (;;) {
    const ended = await virsh(teller, words)
    const shown = ofCommand(ended)
    if (matches.test(shown.text)) return { fields: { reached: 'yes' }, ...shown }
    if (performance.now() > deadline) return { fields: { reached: 'no' }, status: null, text: ended.out + ended.err }
    await sleep(100)
  }
}

async function guestWrites(image: string): Promise<Shown> {
  const deadline = performance.now() + waitLimitMs
  const before = await guestWriteCount(image).catch(() => 0)
  for (;;) {
    await sleep(200)
    if ((await guestWriteCount(image).catch(() => 0)) > before)
      return { fields: { writes: 'yes' }, status: 0, text: '' }
    if (performance.now() > deadline)
      return { fields: { writes: 'no' }, status: 1, text: `still ${before} blocks on ${image}` }
  }
}

const toldByPython = v.object({ name: v.string(), value: v.unknown() })

async function python({ uri, directory, idleSeconds }: StoryOptions): Promise<Shown> {
  const args = [pythonStory, uri, directory, String(idleSeconds)]
  const ended = await capture(systemPython, args, { timeoutMs: waitLimitMs * 2 + idleSeconds * 1_000 })
  const rows = ended.out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => v.parse(toldByPython, JSON.parse(line)))
  const fields = Object.fromEntries(rows.map(({ name, value }) => [name, JSON.stringify(value)]))
  return { fields: { ...fields, exit: String(ended.status) }, status: ended.status, text: ended.err }
}
