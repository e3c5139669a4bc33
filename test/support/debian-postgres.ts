import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { findPostgresql } from '../../src/cli/is-package-present.ts'

/** A throw-away cluster of the distribution's PostgreSQL, reached by its socket directory. */
export type DebianPostgres = Disposable & { readonly url: string; readonly major: number }

/** Starts one; call only where `requireTool('postgresql-15')` says that there is one. */
export function startDebianPostgres(): DebianPostgres {
  const binDir = findPostgresql(15)
  if (binDir === null) throw new Error('Cannot start the distribution’s PostgreSQL: none is installed')
  const directory = mkdtempSync(join(tmpdir(), 'chronovisor-pg-'))
  const account = userInfo().uid === 0 ? accountOf('postgres') : null
  chmodSync(directory, 0o755)
  if (account !== null) chownSync(directory, account.uid, account.gid)
  const dataDir = join(directory, 'data')
  const run = (name: string, args: readonly string[]): void => {
    const { status, stderr } = spawnSync(join(binDir, name), args, { cwd: '/', encoding: 'utf8', ...account })
    if (status !== 0) throw new Error(`Cannot run ${name}: ${stderr}`)
  }
  const stop = (): void => {
    spawnSync(join(binDir, 'pg_ctl'), ['-D', dataDir, '-m', 'immediate', 'stop'], { cwd: '/', ...account })
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    run('initdb', ['-D', dataDir, '-U', 'log', '--auth=trust', '--locale=C', '--encoding=UTF8', '--no-sync'])
    const options = `-c listen_addresses= -c unix_socket_directories=${directory} -c port=5432`
    run('pg_ctl', ['-D', dataDir, '-l', join(directory, 'server.log'), '-o', options, '-w', 'start'])
  } catch (error) {
    stop()
    throw error
  }
  const url = `postgres://log@localhost/postgres?host=${encodeURIComponent(directory)}`
  return { url, major: Number(/\/(\d+)\/bin$/.exec(binDir)?.[1]), [Symbol.dispose]: stop }
}

function accountOf(name: string): { readonly uid: number; readonly gid: number } {
  const number = (option: string): number => Number(spawnSync('id', [option, name], { encoding: 'utf8' }).stdout)
  return { uid: number('-u'), gid: number('-g') }
}
