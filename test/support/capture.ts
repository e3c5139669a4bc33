import { spawn } from 'node:child_process'

/** How a command ended and what it printed. */
export interface Captured {
  /** Exit status; null when a signal ended it. */
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

/** What a captured command gets. */
export interface CaptureOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Milliseconds after which it is killed; 30 s if not given. */
  readonly timeoutMs?: number
}

/** Bytes of output kept of one command. */
const maxOutputBytes = 16 << 20

/** Runs a command to its end, in the C locale; throws only where it cannot be started. A command over its time ends with SIGKILL. */
export function capture(command: string, args: readonly string[], options: CaptureOptions = {}): Promise<Captured> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, LC_ALL: 'C', ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 30_000,
      killSignal: 'SIGKILL',
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    const out = new Tail()
    const err = new Tail()
    child.stdout.on('data', (piece: Buffer) => out.add(piece))
    child.stderr.on('data', (piece: Buffer) => err.add(piece))
    // A command that ends without reading its input is its own affair.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
    child.on('error', reject)
    child.on('close', (status, signal) => resolve({ status, signal, out: out.text(), err: err.text() }))
  })
}

class Tail {
  #pieces: Buffer[] = []
  #bytes = 0

  add(piece: Buffer): void {
    this.#bytes += piece.length
    if (this.#bytes <= maxOutputBytes) this.#pieces.push(piece)
  }

  text(): string {
    return Buffer.concat(this.#pieces).toString('utf8')
  }
}
