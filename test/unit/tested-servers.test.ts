import { globSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { projectRoot } from '../support/project-files.ts'
import { filesOnBothServers, testedServers } from '../support/tested-servers.ts'

const installed = '/usr/lib/postgresql/16/bin'

describe('testedServers()', () => {
  test.each([
    {
      what: 'both where the distribution’s is installed',
      environment: {},
      names: ['embedded PostgreSQL', 'PostgreSQL 16'],
    },
    { what: 'one where it is not', environment: {}, binDir: null, names: ['embedded PostgreSQL'] },
    {
      what: 'both where it is required, so that its absence fails',
      environment: { CHRONOVISOR_REQUIRE: 'strace, postgresql-15' },
      binDir: null,
      names: ['embedded PostgreSQL', 'PostgreSQL 15'],
    },
    {
      what: 'the distribution’s alone where that is asked for',
      environment: { CHRONOVISOR_TEST_POSTGRES: 'debian' },
      names: ['PostgreSQL 16'],
    },
  ])('are $what', ({ environment, binDir = installed, names }) => {
    const servers = testedServers(environment, binDir)
    expect(servers.map(({ name }) => name)).toEqual(names)
    const debian = servers.filter(({ env }) => env['CHRONOVISOR_TEST_POSTGRES'] === 'debian')
    expect(debian.map(({ name }) => name)).toEqual(names.filter((name) => name !== 'embedded PostgreSQL'))
  })

  test('run files that exist', () => {
    const missing = filesOnBothServers.filter((pattern) => globSync(pattern, { cwd: projectRoot }).length === 0)
    expect(missing).toEqual([])
  })
})
