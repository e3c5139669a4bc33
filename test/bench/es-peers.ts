import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync, chmodSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const installLimitMs = 300_000

/** Where the rivals live: a copy of the kit outside the checkout, since some of them may not be shipped. */
export const peersDir = join(tmpdir(), `chronovisor-bench-es-${userInfo().uid}`)

/** The stores that are measured beside ours, by the kit's names; `limit`: bare PostgreSQL, no store. */
export const peers = {
  rivals: ['emmett', 'message-db', 'message-db-8', 'dcb-es', 'dcb-es-custom-plan'],
  limits: ['limit-insert', 'limit-copy'],
} as const

/** The event-store kit: `CHRONOVISOR_BENCH_ES`, or beside the checkout. Null where there is none. */
export function findKit(): string | null {
  const given = process.env['CHRONOVISOR_BENCH_ES']
  const beside = fileURLToPath(new URL('../../../shared/bench/es', import.meta.url))
  const found = given ?? beside
  return existsSync(join(found, 'run.mjs')) ? found : null
}

/** Why bars 1 to 4 cannot be measured beside the rivals; null where they can. */
export function whyNoPeers(): string | null {
  if (existsSync(join(peersDir, 'node_modules', 'pg'))) return null
  return findKit() === null
    ? 'the kit is not here (CHRONOVISOR_BENCH_ES)'
    : 'run npm run bench -- --install-peers first: it puts them into a temporary folder'
}

/** Copies the kit, adds our adapters to it and installs the rivals with npm. Throws where the kit or npm's registry is away. */
export function installPeers(say: (line: string) => void): void {
  const kit = findKit()
  if (kit === null) throw new Error('Cannot install the peers: set CHRONOVISOR_BENCH_ES to the folder of the kit')
  mkdirSync(peersDir, { recursive: true })
  cpSync(kit, peersDir, { recursive: true, force: true, filter: (path) => !path.includes('node_modules') })
  makeWritable(peersDir)
  addOurAdapters()
  say(`installing the rivals into ${peersDir}`)
  const options = { cwd: peersDir, encoding: 'utf8', timeout: installLimitMs } as const
  const npm = spawnSync('npm', ['install', '--no-audit', '--no-fund'], options)
  if (npm.status !== 0) throw new Error(`Cannot install the peers: ${npm.stderr}`)
}

/** Puts our adapters beside the rivals': one of plain events, one whose events each change a live row. */
export function addOurAdapters(): void {
  const source = new URL('es-adapter.ts', import.meta.url).href
  for (const [name, live] of [
    ['chronovisor', false],
    ['chronovisor-live', true],
  ] as const) {
    const text = `import { esAdapter } from '${source}'\nexport default () => esAdapter({ live: ${live} })\n`
    writeFileSync(join(peersDir, 'adapters', `${name}.mjs`), text)
  }
}

/** The kit may be read-only where it stands. */
function makeWritable(directory: string): void {
  chmodSync(directory, 0o755)
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    const isDirectory = statSync(path).isDirectory()
    if (isDirectory && name !== 'node_modules') makeWritable(path)
    else if (!isDirectory) chmodSync(path, 0o644)
  }
}
