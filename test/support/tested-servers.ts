import { findPostgresql } from '../../src/cli/is-package-present.ts'

/** The suites of what stands on PostgreSQL itself: they run on the embedded server and once more on the distribution's. */
export const filesOnBothServers: readonly string[] = [
  'test/integration/eventstore-*.test.ts',
  'test/integration/readmodel-*.test.ts',
  'test/integration/traps-*.test.ts',
  'test/integration/backup-log.test.ts',
  'test/integration/backup-increments.test.ts',
  'test/integration/backup-older-logs.test.ts',
]

/** What the tests on the embedded server are named after. */
export const embeddedServerName = 'embedded PostgreSQL'

/** A run of those files: what their tests are named after, and the environment that sends them to the server. */
export interface TestedServer {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
}

/**
 * The servers to test on: the embedded one, and the distribution's where it is installed or CHRONOVISOR_REQUIRE names postgresql-15 (then
 * its absence is a failure). CHRONOVISOR_TEST_POSTGRES=debian leaves only the latter.
 */
export function testedServers(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  binDir: string | null = findPostgresql(15),
): readonly TestedServer[] {
  const required = (environment['CHRONOVISOR_REQUIRE'] ?? '').split(',').some((name) => name.trim() === 'postgresql-15')
  const major = /\/(\d+)\/bin$/.exec(binDir ?? '')?.[1] ?? '15'
  const debian = { name: `PostgreSQL ${major}`, env: { CHRONOVISOR_TEST_POSTGRES: 'debian' } }
  if (environment['CHRONOVISOR_TEST_POSTGRES'] === 'debian') return [debian]
  return [{ name: embeddedServerName, env: {} }, ...(binDir !== null || required ? [debian] : [])]
}
