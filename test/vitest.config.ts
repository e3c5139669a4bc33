import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { filesOnBothServers, testedServers } from './support/tested-servers.ts'

const servers = testedServers()

// The linter forbids default exports; vitest asks for this one.
export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  // No file of this project is bundled or cached beside the dependencies.
  cacheDir: join(tmpdir(), `chronovisor-vitest-cache-${process.getuid?.() ?? ''}`),
  test: {
    projects: [
      {
        extends: true,
        test: { name: 'chronovisor', include: ['test/**/*.test.ts'], exclude: [...filesOnBothServers] },
      },
      ...servers.map(({ name, env }) => ({
        extends: true as const,
        test: { name, include: [...filesOnBothServers], env: { ...env } },
      })),
    ],
    pool: 'forks',
    // Integration tests start real servers: more at a time measure nothing but each other.
    maxWorkers: 2,
    // Generous: a machine that does other work too is slow, not wrong. What must be fast says so itself.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    teardownTimeout: 10_000,
    // A test that passes on the second try is a fault that somebody will meet.
    retry: 0,
    coverage: { provider: 'v8', include: ['src/**/*.ts', 'projections/**/*.ts'], reportsDirectory: 'coverage' },
  },
})
