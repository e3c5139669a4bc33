import { type FileHandle, open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { EmulatorIdentity, EmulatorProbe } from '../driver/emulator-probe.ts'
import type { ExecutableFile, ProcessTable, ProcessUser } from '../driver/host-facts.ts'
import { Fault } from '../util/fault.ts'
import { connectNewQemu } from './connect-new-qemu.ts'
import { deriveAnswers } from './derive-answers.ts'
import { type EmulatorIdentities, isNative } from './emulator-identities.ts'
import { isX86 } from './derive-host-cpu.ts'
import { type AskEmulator, interviewEmulator, interviewTranslation } from './interview-emulator.ts'
import { ProbeConversation } from './probe-conversation.ts'
import type { QmpAnswer } from './qmp-message.ts'
import { ProbeRecording, type RecordedSection } from './probe-recording.ts'
import { scratchDirectory } from './run-directory.ts'
import type { SchemaPaths } from './schema-paths.ts'
import { killGroup, type ProcessLimits, spawnQemu } from './spawn-qemu.ts'

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
    const executable = await interviewBoth(run, { expectsSecond: expectsTranslation(binary, before) })
    const conversation = recording.text
    const answers = deriveAnswers(ProbeConversation.heard(recording.sections))
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

/**
 * Returns the program that ran, null where it was gone before it could be seen. The second start waits only for what to ask; where one is to
 * be expected it is made together with the first, and is ready by then.
 */
async function interviewBoth(
  run: Run,
  { expectsSecond }: { readonly expectsSecond: boolean },
): Promise<ExecutableFile | null> {
  const over = new AbortController()
  const both = { ...run, signal: AbortSignal.any([run.signal, over.signal]) }
  const [firstSection, secondSection] = [run.recording.beginSection(), run.recording.beginSection()]
  const starts: Promise<Started>[] = []
  const start = (accelerators: string, section: RecordedSection): Promise<Started> => {
    const started = startEmulator(both, { accelerators, section })
    started.catch(() => undefined)
    starts.push(started)
    return started
  }
  const translations: Promise<Started>[] = []
  try {
    const starting = start('kvm:tcg', firstSection)
    const expected = expectsSecond ? start('tcg', secondSection) : null
    const translate = (known: { readonly arch: string; readonly schema: SchemaPaths | null }): void => {
      if (translations.length > 0) return
      const asked = (expected ?? start('tcg', secondSection)).then(async (second) => {
        await interviewTranslation(second.ask, known)
        return second
      })
      asked.catch(() => undefined)
      translations.push(asked)
    }
    const first = await starting
    const { version, needsTranslation } = await interviewEmulator(first.ask, {
      // While the first start prints its schema, the second has a processor to itself.
      onTarget: (arch) => {
        if (expected !== null && isX86(arch)) translate({ arch, schema: null })
      },
      onKnown: translate,
    })
    if (first.greeted !== version) throw contradicting(first.greeted, version)
    if (needsTranslation) {
      for (const second of await Promise.all(translations)) {
        if (!isSameProgram(first.executable, second.executable) || first.greeted !== second.greeted) throw replaced(run)
      }
    } else secondSection.forget()
    return first.executable
  } finally {
    over.abort(new Error('The interview is over'))
    for (const started of starts) await (await started.catch(() => null))?.[Symbol.asyncDispose]()
  }
}

/** Natively, with KVM, most emulators are asked about translation as well. A name that says nothing promises nothing. */
function expectsTranslation(binary: string, { kvmUsable }: EmulatorIdentity): boolean {
  return kvmUsable && basename(binary).startsWith('qemu-system-') && isNative(binary)
}

/** An emulator that can be asked. Disposing ends it: it has no guest and no files, and waiting for its end is its parent's business. */
interface Started extends AsyncDisposable {
  readonly ask: AskEmulator
  /** The version in its greeting. */
  readonly greeted: string
  readonly executable: ExecutableFile | null
}

async function startEmulator(
  run: Run,
  { accelerators, section }: { readonly accelerators: string; readonly section: RecordedSection },
): Promise<Started> {
  const { binary, action, signal, timeoutMs, recording, options, output } = run
  const { user, processes } = options
  const monitorPath = join(run.directory, `${accelerators.replaceAll(':', '-')}.sock`)
  const args = probeArguments(monitorPath, accelerators)
  await using made = new AsyncDisposableStack()
  const child = await spawnQemu({ binary, args, user, outputDescriptor: output.fd, action, limits })
  made.defer(() => killGroup(child))
  const onExchange = (command: string, answer: string, understood: QmpAnswer): void =>
    section.add({ command, answer, understood })
  const client = made.use(await connectNewQemu(monitorPath, { process: child, signal, timeoutMs, onExchange }))
  const executable = processes.executable(child.pid)
  const ask: AskEmulator = async (command, more = {}) => {
    const value = await client.execute(command, more, { signal })
    if (recording.size > maxConversationBytes) throw tooTalkative()
    return value
  }
  const kept = made.move()
  return {
    ask,
    greeted: client.greetedVersion,
    executable,
    [Symbol.asyncDispose]: async () => await kept.disposeAsync(),
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
