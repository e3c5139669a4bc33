import { basename } from 'node:path'
import type { AnyFact, FactOf, FactType } from '../events/catalogue.ts'
import { byteSize, duration } from './format-time.ts'

type Describers = { readonly [Type in FactType]: (data: FactOf<Type>['data']) => string }

const nothing = (): string => ''
const jobOf = ({ jobId }: { readonly jobId: string }): string => `job ${jobId}`
const files = ({ files: list }: { readonly files: readonly unknown[] }): string =>
  list.length === 0 ? '' : `${list.length} files recorded`
const chain = (paths: readonly { readonly path: string }[]): string => paths.map(({ path }) => path).join(' <- ')
const cause = (data: { readonly cause: string }): string => (data.cause === 'request' ? '' : `by the ${data.cause}`)
const claim = (data: { readonly kind: string; readonly subject: string; readonly domain: string }): string =>
  `${data.kind} ${data.subject} for ${data.domain}`
const withPaused = (text: string, { paused }: { readonly paused: boolean }): string =>
  paused ? `${text}, paused` : text

/** `9,000 of DOMAIN_CREATE by virsh (operation_invalid)`, the most frequent first. */
const refused = ({ counts, otherCount }: FactOf<'RefusalsCounted'>['data']): string =>
  [
    ...counts.map(
      ({ count, procedure, program, rule }) => `${count} of ${procedure} by ${basename(program)} (${rule})`,
    ),
    ...(otherCount === 0 ? [] : [`${otherCount} others`]),
  ].join(', ')

const describers: Describers = {
  DaemonStarted: ({ pid, daemonVersion, driver, hostname }) =>
    `version ${daemonVersion}, process ${pid} on ${hostname}, driver ${driver}`,
  DaemonStopped: ({ pid, cause: why }) => `process ${pid}: ${why}`,
  HostFactsObserved: ({ kernel, hostCpu, kvmUsable, emulators }) =>
    `kernel ${kernel}, CPU ${hostCpu}, KVM ${kvmUsable ? 'usable' : 'not usable'}, ${emulators.length} emulators`,
  ClockJumped: ({ differenceUs }) => `by ${differenceUs / 1_000n} ms`,
  EmulatorProbed: ({ binary, capsId, durationMs }) => `${binary}: new capability version ${capsId}, ${durationMs} ms`,
  EmulatorReprobed: ({ binary, capsId, durationMs }) =>
    `${binary}: still capability version ${capsId}, ${durationMs} ms`,
  EmulatorProbeFailed: ({ binary, error }) => `${binary}: ${error}`,
  EmulatorInvalidated: ({ binary, reason, was, is }) => `${binary}: ${reason}, was ${was}, is ${is}`,
  DomainDefined: ({ name, capsId, kept }) =>
    `${name}, judged by ${capsId}${kept.length === 0 ? '' : `, kept verbatim: ${kept.join(', ')}`}`,
  DomainDefinitionFollowed: ({ disks }) => disks.map(({ disk, path }) => `${disk} is ${path}`).join(', '),
  DomainUndefined: ({ name }) => name,
  DomainAutostartChanged: ({ autostart }) => (autostart ? 'on' : 'off'),
  DomainStartRequested: (data) =>
    withPaused(`${data.name} as ${data.domainId}${data.cause === 'autostart' ? ' by autostart' : ''}`, data),
  DomainStarted: (data) => withPaused(`process ${data.process.pid}, ${data.virtType}`, data),
  DomainStartFailed: ({ error }) => error,
  DomainSuspendRequested: nothing,
  DomainSuspended: cause,
  DomainResumeRequested: nothing,
  DomainResumed: cause,
  DomainResetRequested: nothing,
  DomainReset: cause,
  DomainShutdownRequested: nothing,
  DomainPowerButtonPressed: nothing,
  DomainDestroyRequested: nothing,
  DomainDestroyed: files,
  DomainShutOff: ({ reason, detail }) => (detail === '' ? reason : `${reason}: ${detail}`),
  DomainCrashed: ({ detail }) => detail,
  DomainForgotten: ({ name }) => name,
  CommandFailed: ({ intent, error }) => `${intent}: ${error}`,
  TaskAborted: ({ capsId, reason }) => `capability version ${capsId}: ${reason}`,
  BackingChainDetected: ({ disk, layers }) => `${disk}: ${chain(layers)}`,
  BackingChainVerified: ({ disk, files: list }) => `${disk}: ${chain(list)}`,
  BackingChainAdopted: ({ disk, layers }) => `${disk}: ${chain(layers)}`,
  BackingChainForgotten: ({ disk }) => disk,
  DriftDetected: ({ disk, layer, why }) => `${disk} at ${layer}: ${why}`,
  BlockJobRequested: ({ jobId, disk, kind, base, top, onReady, bytesPerSecond }) =>
    `${kind} of ${disk}, layer ${top} to ${base < 0 ? 'everything' : base}, at READY ${onReady}` +
    `${bytesPerSecond > 0n ? `, at most ${byteSize(bytesPerSecond)}/s` : ''}, ${jobOf({ jobId })}`,
  BlockJobStarted: jobOf,
  BlockJobReady: jobOf,
  BlockJobPivotRequested: jobOf,
  BlockJobSpeedChanged: ({ jobId, bytesPerSecond }) => `at most ${bytesPerSecond} bytes/s, job ${jobId}`,
  BlockJobCancelRequested: jobOf,
  BlockJobPivoting: ({ jobId, from, to }) => `${from} to ${to}, ${jobOf({ jobId })}`,
  BlockJobFinalizing: jobOf,
  BlockJobPivoted: ({ jobId, disk, frozenMs, settledBy }) =>
    `${disk}, settled by the ${settledBy}${frozenMs === null ? '' : `, writes held ${duration(BigInt(Math.round(frozenMs * 1000)))}`}, ${jobOf({ jobId })}`,
  BlockJobCompleted: ({ jobId, disk }) => `${disk}, ${jobOf({ jobId })}`,
  BlockJobFailed: ({ jobId, error }) => `${error}, ${jobOf({ jobId })}`,
  BlockJobCancelled: ({ jobId, invalid }) =>
    `${jobOf({ jobId })}${invalid.length === 0 ? '' : `, no longer valid: ${invalid.join(', ')}`}`,
  BlockJobLost: ({ jobId, why }) => `${why}, ${jobOf({ jobId })}`,
  SnapshotRequested: ({ name, disks }) => `${name}: ${disks.map(({ disk, path }) => `${disk} to ${path}`).join(', ')}`,
  SnapshotCreated: ({ name, disks }) =>
    `${name}: ${disks.flatMap(({ disk, overlay }) => (overlay === null ? [] : [`${disk} is ${overlay.path}`])).join(', ')}`,
  SnapshotDeleted: ({ name, metadataOnly }) => (metadataOnly ? `${name}, the record only` : name),
  ClaimTaken: claim,
  ClaimReleased: claim,
  CommandRefused: ({ procedure, rule, message, count }) =>
    `${procedure}: ${rule}: ${message}${count > 1 ? ` (${count} times)` : ''}`,
  RefusalsCounted: (data) =>
    `${data.count} more refusals of ${data.uid === null ? 'many users' : `uid ${data.uid}`} in ${duration(data.untilUs - data.sinceUs)}: ${refused(data)}; last: ${data.lastMessage}`,
  ProjectionStreamRetried: ({ projection, stream, position }) => `${projection}: ${stream} from @${position} on`,
  ProjectionEventSkipped: ({ projection, stream, position, error }) =>
    `${projection}: @${position} of ${stream}, ${error}`,
  PayloadErased: ({ position, type, reason }) => `the data of ${type} @${position}: ${reason}`,
  ProjectionRebuilt: ({ projection, version, position }) => `${projection}: version ${version} up to @${position}`,
}

const byType: Readonly<Record<string, { describe(data: object): string }['describe']>> = describers

/** What a fact says besides its type, in one line for people. */
export function describeFact(fact: AnyFact): string {
  return (byType[fact.type]?.(fact.data) ?? '').replaceAll(/\s+/g, ' ').trim()
}
