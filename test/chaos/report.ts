import type { ChaosResult } from './chaos-run.ts'
import { findingKinds } from './findings.ts'

/** What a run was and what was found, for people. */
export function reportLines(result: ChaosResult): readonly string[] {
  const { faults, findings, writers } = result
  const { kills } = faults
  const killed = Object.values(kills).reduce((sum, count) => sum + count, 0)
  return [
    `seed ${result.seed}, ${result.target}: ${result.seconds.toFixed(0)} s`,
    `  operations ${result.operations}: acknowledged ${result.acknowledged}, refused ${result.refused}, unknown ${result.unknown}; tried again ${result.retried}; reads ${result.looks}, as-of answers ${result.moments}`,
    `  kills ${killed}: ${listed(kills)}; connections cut ${faults.cuts}; transactions held open ${result.transactionsHeld}`,
    `  faults: ${listed(Object.fromEntries(faults.byName))}`,
    `  writers: ${listed(writers)}`,
    `  log: ${result.events} events${result.commits === null ? '' : `, ${result.commits} commits, root ${result.root}`}; delivered ${listed(result.delivered)}`,
    `  restored: ${result.restored}`,
    `  ${verdict(result)}`,
    ...findings.first.map(({ kind, text }) => `  ${kind}: ${text}`),
  ]
}

/** Findings by kind, all of a kind counted. */
function verdict({ findings, acknowledged }: ChaosResult): string {
  const { lost, duplicated, reordered, missing } = {
    lost: findings.count('lost'),
    duplicated: findings.count('duplicated'),
    reordered: findings.count('reordered'),
    missing: findings.count('missing'),
  }
  const others = [...findings.counts].filter(([kind]) => !['lost', 'duplicated', 'reordered', 'missing'].includes(kind))
  const rest = others.map(([kind, count]) => `; ${kind} (${findingKinds[kind]}) ${count}`)
  return `${acknowledged} acknowledgements checked: lost ${lost}, duplicated ${duplicated}, out of order ${reordered}, acknowledged but missing ${missing}${rest.join('')}`
}

/** A run as data. */
export function reportJson(result: ChaosResult): object {
  return {
    ...result,
    faults: { ...result.faults, byName: Object.fromEntries(result.faults.byName) },
    findings: { counts: Object.fromEntries(result.findings.counts), first: result.findings.first },
  }
}

function listed(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([name, count]) => `${name} ${count}`)
  return parts.length === 0 ? 'none' : parts.join(', ')
}
