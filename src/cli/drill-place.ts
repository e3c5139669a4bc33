import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const prefix = 'chronovisor-drill-'
const endLimitMs = 60_000

/**
 * Ends what works in a directory and removes it, once its input ends: that is when the process that started it is gone, however it
 * went. Told by the directory in its command line; tried again, since a program that was just starting may still make files.
 */
const reaper = `
cat > /dev/null
tries=0
while [ -d "$1" ] && [ $tries -lt 100 ]; do
  for entry in /proc/[0-9]*; do
    pid=\${entry#/proc/}
    [ "$pid" = $$ ] && continue
    if tr '\\0' '\\n' < "$entry/cmdline" 2> /dev/null | grep -qF -- "$1/state"; then kill -QUIT "$pid" 2> /dev/null; fi
  done
  sleep 0.1
  rm -rf "$1" 2> /dev/null
  tries=$((tries + 1))
done
`

/** Directories of its own for a scratch server. They and the server go when this is disposed of, and also when the process is killed. */
export class DrillPlace implements AsyncDisposable {
  readonly stateDir: string
  readonly socketDir: string
  readonly #ended: Promise<void>
  readonly #end: () => void

  constructor() {
    removeAbandoned()
    // Open to all: the server runs as a user of its own where this is root's.
    const directory = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`))
    chmodSync(directory, 0o755)
    this.stateDir = join(directory, 'state')
    this.socketDir = join(directory, 'run')
    const { ended, end } = startReaper(directory)
    this.#ended = ended
    this.#end = end
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end()
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, endLimitMs)
    })
    await Promise.race([this.#ended, limit])
    clearTimeout(timer)
  }
}

function startReaper(directory: string): { readonly ended: Promise<void>; readonly end: () => void } {
  // In a session of its own: what ends this process's group must not end it, too.
  const child = spawn('/bin/sh', ['-c', reaper, 'sh', directory], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: '/usr/bin:/bin' },
  })
  child.unref()
  child.stdin.on('error', () => undefined) // it ended first
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  return { ended, end: () => child.stdin.end() }
}

/** What a drill left when its reaper was killed with it, as the end of a container does. */
function removeAbandoned(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) startReaper(join(tmpdir(), name)).end()
  }
}
