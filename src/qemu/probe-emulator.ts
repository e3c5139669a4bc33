import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { EmulatorProbe } from '../driver/emulator-probe.ts'
import type { ExecutableFile, ProcessTable, ProcessUser } from '../driver/host-facts.ts'
import { Fault } from '../util/fault.ts'
import { connectNewQemu } from './connect-new-qemu.ts'
import { deriveAnswers } from './derive-answers.ts'
import type { EmulatorIdentities } from './emulator-identities.ts'
import { type AskEmulator, type FirstSection, interviewEmulator, interviewTranslation } from './interview-emulator.ts'
import { ProbeConversation } from './probe-conversation.ts'
import { ProbeRecording, type RecordedSection } from './probe-recording.ts'
import { scratchDirectory } from './run-directory.ts'
import { killGroup, type ProcessLimits, type SpawnedQemu, spawnQemu } from './spawn-qemu.ts'

/** What a probe runs with. */
export interface ProbeOptions {
  readonly signal: AbortSignal
  /** Null probes as the daemon's own user. */
  readonly user: ProcessUser | null
  readonly runDirectory: string
  readonly identities: EmulatorIdentities
  readonly processes: ProcessTable
  readonly timeoutMs?: number
}

const defaultTimeoutMs = 30_000
const maxWordsBytes = 2048
/** The largest conversations known have a megabyte. */
const maxConversationBytes = 32 * 1024 * 1024
/** QEMU reserves 1 to 2 GiB for translated code and uses hardly any of it; it writes a line at most. */
const limits: ProcessLimits = { memoryKib: 8 * 1024 * 1024, fileKib: 1024, cpuSeconds: 60 }

/** What the two sections of a probe share. */
interface Run {
  readonly binary: string
  readonly action: string
  readonly options: ProbeOptions
  readonly signal: AbortSignal
  readonly timeoutMs: number
  readonly directory: string
  readonly output: FileHandle
  readonly recording: ProbeRecording
}

/**
 * Starts an emulator without a machine, asks it what it can do and ends it. KVM is used where it works, because it decides which CPU models are
 * usable; translation is then asked about by another start. What was said is recorded, and everything else derived from the recording. Throws Fault
 * with the emulator's own words when it does not answer; no process and no file is left behind.
 */
export async function probeEmulator(binary: string, options: ProbeOptions): Promise<EmulatorProbe> {
  const { user, identities, timeoutMs = defaultTimeoutMs } = options
  const action = `probe emulator "${binary}"`
  const before = identities.read(binary)
  await using scratch = await scratchDirectory(options.runDirectory, { prefix: 'probe-', user })
  const outputPath = join(scratch.path, 'output')
  const output = await open(outputPath, 'wx+', 0o600)
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(timeoutMs)])
  const recording = new ProbeRecording()
  const run: Run = { binary, action, options, signal, timeoutMs, directory: scratch.path, output, recording }
  try {
    const executable = await interviewBoth(run)
    const conversation = recording.text
    const answers = deriveAnswers(ProbeConversation.of(recording.messages))
    const facts = identities.read(binary, executable)
    // Replaced in the middle: the answers may be those of either file.
    if (
      facts.resolvedPath !== before.resolvedPath ||
      facts.ctimeNs !== before.ctimeNs ||
      facts.inode !== before.inode
    ) {
      throw replaced(run)
    }
    return { binary, ...answers, facts, conversation }
  } catch (error) {
    throw withWords(error, { action, words: await lastWords(output) })
  } finally {
    await output.close()
  }
}

/** Command line of a probe: no machine, no devices, nothing of the host's configuration. */
export function probeArguments(monitorPath: string, accelerators = 'kvm:tcg'): readonly string[] {
  const bare = ['-S', '-no-user-config', '-nodefaults', '-nographic', '-machine', `none,accel=${accelerators}`]
  return [...bare, '-qmp', `unix:${monitorPath.replaceAll(',', ',,')},server=on,wait=off`]
}

/** Returns the program that ran, null where it was gone before it could be seen. */
async function interviewBoth(run: Run): Promise<ExecutableFile | null> {
  const failed = new AbortController()
  const both = { ...run, signal: AbortSignal.any([run.signal, failed.signal]) }
  const [firstSection, secondSection] = [run.recording.beginSection(), run.recording.beginSection()]
  const translations: Promise<Heard<void>>[] = []
  const translate = async (known: FirstSection): Promise<Heard<void>> => {
    const ask = async (question: AskEmulator): Promise<void> => await interviewTranslation(question, known)
    return await interview(both, { accelerators: 'tcg', section: secondSection, ask })
  }
  // The second start need not wait for the end of the first section.
  const onKnown = (known: FirstSection): void => {
    const translation = translate(known)
    translation.catch(() => undefined)
    translations.push(translation)
  }
  const ask = async (question: AskEmulator): Promise<FirstSection> => await interviewEmulator(question, onKnown)
  try {
    const { result, ...first } = await interview(both, { accelerators: 'kvm:tcg', section: firstSection, ask })
    if (first.greeted !== result.version) throw contradicting(first.greeted, result.version)
    const [second] = await Promise.all(translations)
    if (second === undefined) return first.executable
    if (!isSameProgram(first.executable, second.executable) || first.greeted !== second.greeted) throw replaced(run)
    return first.executable
  } catch (error) {
    failed.abort(error)
    await Promise.allSettled(translations)
    throw error
  }
}

interface Section<Result> {
  readonly accelerators: string
  readonly section: RecordedSection
  readonly ask: (ask: AskEmulator) => Promise<Result>
}

/** What came of a section. */
interface Heard<Result> {
  readonly result: Result
  readonly greeted: string
  readonly executable: ExecutableFile | null
}

/** One start of the emulator. It has no guest and no files: there is nothing to end in order, and waiting for its end is its parent's business. */
async function interview<Result>(run: Run, { accelerators, section, ask }: Section<Result>): Promise<Heard<Result>> {
  const { binary, action, signal, timeoutMs, recording, options, output } = run
  const monitorPath = join(run.directory, `${accelerators.replaceAll(':', '-')}.sock`)
  const args = probeArguments(monitorPath, accelerators)
  let child: SpawnedQemu | null = null
  try {
    child = await spawnQemu({ binary, args, user: options.user, outputDescriptor: output.fd, action, limits })
    const onExchange = (command: string, answer: string): void => section.add(command, answer)
    await using client = await connectNewQemu(monitorPath, { process: child, signal, timeoutMs, onExchange })
    const executable = options.processes.executable(child.pid)
    const bounded: AskEmulator = async (command, more = {}) => {
      const value = await client.execute(command, more, { signal })
      if (recording.size > maxConversationBytes) throw tooTalkative()
      return value
    }
    return { result: await ask(bounded), greeted: client.greetedVersion, executable }
  } finally {
    if (child !== null) killGroup(child)
  }
}

function isSameProgram(a: ExecutableFile | null, b: ExecutableFile | null): boolean {
  return a?.device === b?.device && a?.inode === b?.inode && a?.ctimeNs === b?.ctimeNs
}

function replaced({ action, binary }: Run): Fault {
  return new Fault('operation_aborted', `Cannot ${action}: the file was replaced meanwhile`, { subject: binary })
}

function contradicting(greeted: string, answered: string): Fault {
  return new Fault('operation_failed', `it greeted as version ${greeted} and answers that it is version ${answered}`)
}

function tooTalkative(): Fault {
  return new Fault('operation_failed', `it said more than ${maxConversationBytes} bytes`)
}

/** The beginning of what it wrote: an emulator that never stops writing is stopped by its limits. */
async function lastWords(output: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await output.read({ buffer: Buffer.alloc(maxWordsBytes), position: 0 })
  return buffer.toString('utf8', 0, bytesRead).replaceAll('\u0000', '').trim()
}

function withWords(error: unknown, { action, words }: { readonly action: string; readonly words: string }): unknown {
  if (!(error instanceof Fault) || error.message.startsWith(`Cannot ${action}`)) return error
  const why = words === '' ? error.message : `${error.message}; it wrote "${words}"`
  return new Fault(error.kind, `Cannot ${action}: ${why}`, { cause: error })
}
