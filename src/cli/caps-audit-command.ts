import { createReadStream, realpathSync, statSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import * as v from 'valibot'
import {
  type AuditedTask,
  CapabilityAudit,
  type CapabilityReport,
  hasFindings,
  type JudgedInvalidation,
  type Misuse,
} from './audit-capabilities.ts'
import { auditedEvent } from './audited-event.ts'
import { exitCode } from './exit-code.ts'
import { localTime, utcTime } from './format-time.ts'
import { openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { parseMoment } from './moment.ts'
import { type Output, toned } from './output.ts'
import { tellEvent } from './told-event.ts'

const optionsSchema = v.object({ since: v.optional(v.string()) })
const shownTasks = 5

/** `chronovisor caps audit`: replays why capability versions were thrown away, and whether one was used that should have been. */
export async function capsAuditCommand(invocation: Invocation): Promise<number> {
  const { since } = v.parse(optionsSchema, invocation.options)
  const { out } = invocation
  await using history = await openHistory(invocation.config)
  const first = since === undefined ? 0n : await history.firstSince(parseMoment(since, invocation.nowUs()))
  const audit = new CapabilityAudit()
  for await (const recorded of history.log.readAll()) {
    const event = auditedEvent(tellEvent(recorded))
    if (event !== null) audit.take(event)
  }
  await learnPresentFiles(audit)
  const report = reportSince(audit.report(), first)
  if (out.isJson) out.document(documentOf(report))
  else showReport(out, report)
  return hasFindings(report) ? exitCode.finding : exitCode.found
}

/** The files that lie there now may be those that tasks saw: their content decides what no event told. */
export async function learnPresentFiles(audit: CapabilityAudit): Promise<void> {
  for (const binary of new Set(
    audit
      .report()
      .misuses.filter((one) => one.kind === 'unproven')
      .map((one) => one.binary),
  )) {
    try {
      const path = realpathSync(binary)
      const { ino, size, ctimeNs } = statSync(path, { bigint: true })
      const hash = createHash('sha256')
      await pipeline(createReadStream(path), hash)
      audit.contents.learn(binary, { inode: ino, sizeBytes: size, ctimeNs, sha256: hash.digest('hex') })
    } catch {
      // gone or not readable by this user: it stays unproven, which the report says
    }
  }
}

/** The part of a report that speaks of positions from `first` on. */
function reportSince(report: CapabilityReport, first: bigint): CapabilityReport {
  return {
    ...report,
    invalidations: report.invalidations.filter((one) => one.position >= first),
    misuses: report.misuses.flatMap((misuse) => {
      const tasks = misuse.tasks.filter((task) => task.position >= first)
      return tasks.length === 0
        ? []
        : [{ ...misuse, tasks, taskCount: misuse.taskCount - misuse.tasks.length + tasks.length }]
    }),
  }
}

function showReport(out: Output, report: CapabilityReport): void {
  for (const one of report.invalidations) out.lines(invalidationLines(out, one))
  for (const misuse of report.misuses) out.lines(misuseLines(out, misuse))
  const wrong = report.invalidations.filter((one) => !one.verdict.justified).length
  const found = report.misuses.filter((one) => one.kind !== 'unproven').length
  const counts = `${report.invalidations.length} invalidations, ${wrong} of them unjustified; ${report.taskCount} tasks, ${found} wrong uses of a version`
  out.line(toned(out, hasFindings(report) ? 'bad' : 'good', counts))
}

function invalidationLines(
  out: Output,
  { position, timeUs, binary, reason, capsId, detectedBy, verdict }: JudgedInvalidation,
): readonly string[] {
  const word = verdict.justified ? toned(out, 'good', 'justified  ') : toned(out, 'bad', 'UNJUSTIFIED')
  return [
    `${word}  @${position}  ${localTime(timeUs)}  ${binary}  ${reason}: ${verdict.why}`,
    `             version ${capsId}, detected by ${detectedBy}`,
  ]
}

const words: Readonly<Record<Misuse['kind'], string>> = {
  missing: 'MISSING    ',
  stale: 'STALE      ',
  unknown: 'UNKNOWN    ',
  unproven: 'unproven   ',
}

const meanings: Readonly<Record<Misuse['kind'], string>> = {
  missing: 'facts had changed, and the version was still used',
  stale: 'the version had been invalidated, and was used again',
  unknown: 'no probe ever made this version',
  unproven: 'the file was touched; nothing recorded tells whether its content was the same',
}

function misuseLines(out: Output, { kind, binary, capsId, difference, tasks, taskCount }: Misuse): readonly string[] {
  const facts = difference === null ? '' : `: ${difference.reason}, was ${difference.was}, is ${difference.is}`
  const more = taskCount > shownTasks ? [`             and ${taskCount - shownTasks} more`] : []
  return [
    `${toned(out, kind === 'unproven' ? 'faint' : 'bad', words[kind])}  ${binary}  ${meanings[kind]}${facts}`,
    `             version ${capsId}, used by ${taskCount} ${taskCount === 1 ? 'task' : 'tasks'}:`,
    ...tasks.slice(0, shownTasks).map(taskLine),
    ...more,
  ]
}

function taskLine({ position, timeUs, type, who, procedure, commandId }: AuditedTask): string {
  return `             @${position}  ${localTime(timeUs)}  ${type}  ${who} by ${procedure}, command ${commandId}`
}

function documentOf(report: CapabilityReport): object {
  const task = ({ timeUs, ...rest }: AuditedTask): object => ({ ...rest, at: utcTime(timeUs) })
  return {
    invalidations: report.invalidations.map(({ timeUs, verdict, ...rest }) => ({
      ...rest,
      at: utcTime(timeUs),
      ...verdict,
    })),
    misuses: report.misuses.map((misuse) => ({ ...misuse, tasks: misuse.tasks.map(task) })),
    taskCount: report.taskCount,
    findings: hasFindings(report),
  }
}
