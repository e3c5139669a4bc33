import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as v from 'valibot'
import { peersDir } from '../bench/es-peers.ts'

const ownDirectory = join(tmpdir(), `chronovisor-chaos-peers-${userInfo().uid}`)
const installLimitMs = 300_000

/** The rivals that a run can be aimed at. They are never part of this package: one of them has no licence. */
const packages = {
  '@event-driven-io/emmett': '0.42.0',
  '@event-driven-io/emmett-postgresql': '0.42.0',
  '@eventide/message-db': '1.3.1',
} as const

/** Connections of this name are those that the proxy cuts, in ours as in every rival. */
export const cutName = 'chronovisor writer'

type PackageName = keyof typeof packages

/** Where the rivals are installed, by the benches or for these runs; null where they are not. */
export function findPeers(): string | null {
  const isThere = (directory: string) =>
    Object.keys(packages).every((name) => existsSync(join(directory, 'node_modules', name)))
  return [ownDirectory, peersDir].find(isThere) ?? null
}

/** Installs the rivals into a temporary folder with npm. */
export function installPeers(say: (line: string) => void): void {
  mkdirSync(ownDirectory, { recursive: true })
  const manifest = { name: 'chaos-peers', private: true, type: 'module', dependencies: packages }
  writeFileSync(join(ownDirectory, 'package.json'), JSON.stringify(manifest))
  say(`installing the rivals into ${ownDirectory}`)
  const options = { cwd: ownDirectory, encoding: 'utf8', timeout: installLimitMs } as const
  const npm = spawnSync('npm', ['install', '--no-audit', '--no-fund'], options)
  if (npm.status !== 0) throw new Error(`Cannot install the rivals: ${npm.stderr}`)
}

/** The module of an installed rival; its parts are for the caller to check. */
export async function importPeer(directory: string, name: PackageName): Promise<unknown> {
  const packageDirectory = join(directory, 'node_modules', name)
  const { module } = v.parse(
    v.object({ module: v.string() }),
    JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')),
  )
  const loaded: unknown = await import(pathToFileURL(join(packageDirectory, module)).href)
  return loaded
}

/** A file of an installed rival. */
export function readPeerFile(directory: string, name: PackageName, path: string): string {
  return readFileSync(join(directory, 'node_modules', name, path), 'utf8')
}
