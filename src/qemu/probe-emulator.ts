import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EmulatorProbe } from '../driver/emulator-probe.ts'
import type { ProcessTable, ProcessUser } from '../driver/host-facts.ts'
import { Fault } from '../util/fault.ts'
import { connectNewQemu } from './connect-new-qemu.ts'
import type { EmulatorIdentities } from './emulator-identities.ts'
import { interviewEmulator } from './interview-emulator.ts'
import { ProbeRecording } from './probe-recording.ts'
import { scratchDirectory } from './run-directory.ts'
import { killGroup, type SpawnedQemu, spawnQemu } from './spawn-qemu.ts'

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

/**
 * Starts an emulator without a machine, asks it what it can do and ends it. KVM is used where it works, because it decides which CPU models are
 * usable. Throws Fault with the emulator's own words when it does not answer; no process and no file is left behind.
 */
export async function probeEmulator(binary: string, options: ProbeOptions): Promise<EmulatorProbe> {
  const { user, identities, processes, timeoutMs = defaultTimeoutMs } = options
  const action = `probe emulator "${binary}"`
  const before = identities.read(binary, binary)
  await using scratch = await scratchDirectory(options.runDirectory, { prefix: 'probe-', user })
  const monitorPath = join(scratch.path, 'qmp.sock')
  const outputPath = join(scratch.path, 'output')
  const output = await open(outputPath, 'wx', 0o600)
  let child: SpawnedQemu | null = null
  try {
    const args = probeArguments(monitorPath)
    child = await spawnQemu({ binary, args, user, outputDescriptor: output.fd, action })
    const recording = new ProbeRecording()
    const limit = AbortSignal.any([options.signal, AbortSignal.timeout(timeoutMs)])
    const onTraffic = (json: string): void => recording.add(json)
    await using client = await connectNewQemu(monitorPath, { process: child, signal: limit, timeoutMs, onTraffic })
    const executable = processes.executable(child.pid)
    const answers = await interviewEmulator((command, args = {}) => client.execute(command, args, { signal: limit }))
    const facts = identities.read(binary, executable?.path ?? before.resolvedPath)
    // Replaced in the middle: the answers may be those of either file.
    if (
      facts.resolvedPath !== before.resolvedPath ||
      facts.ctimeNs !== before.ctimeNs ||
      facts.inode !== before.inode
    ) {
      throw new Fault('operation_aborted', `Cannot ${action}: the file was replaced meanwhile`, { subject: binary })
    }
    return { binary, ...answers, facts, conversation: recording.text }
  } catch (error) {
    throw withWords(error, { action, words: await readFile(outputPath, 'utf8').catch(() => '') })
  } finally {
    await output.close()
    // It has no guest and no files: there is nothing to end in order. Waiting for the end is its parent's business, not ours.
    if (child !== null) killGroup(child)
  }
}

/** Command line of a probe: no machine, no devices, nothing of the host's configuration. */
export function probeArguments(monitorPath: string): readonly string[] {
  const bare = ['-S', '-no-user-config', '-nodefaults', '-nographic', '-machine', 'none,accel=kvm:tcg']
  return [...bare, '-qmp', `unix:${monitorPath.replaceAll(',', ',,')},server=on,wait=off`]
}

function withWords(error: unknown, { action, words }: { readonly action: string; readonly words: string }): unknown {
  if (!(error instanceof Fault) || error.message.startsWith(`Cannot ${action}`)) return error
  const said = words.trim().slice(0, maxWordsBytes)
  const why = said === '' ? error.message : `${error.message}; it wrote "${said}"`
  return new Fault(error.kind, `Cannot ${action}: ${why}`, { cause: error })
}
