import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a fake monitor does with a line that it was sent; it answers by writing to the socket. */
export type FakeMonitorScript = (command: FakeCommand, socket: Socket) => void

/** A command as a fake monitor reads it. */
export interface FakeCommand {
  readonly name: string
  readonly id: string
}

/** The first line of a healthy monitor. */
export const fakeGreeting = `${JSON.stringify({ QMP: { version: { qemu: { major: 7, minor: 2, micro: 22 }, package: '' }, capabilities: ['oob'] } })}\r\n`

/** Writes a reply in the form of a healthy monitor. */
export function answer(socket: Socket, id: string, value: unknown = {}): void {
  socket.write(`${JSON.stringify({ return: value, id })}\r\n`)
}

/** A monitor socket with scripted behaviour: what real QEMU cannot be made to do (lies, floods, silence). */
export class FakeMonitor implements AsyncDisposable {
  readonly path: string
  readonly #directory: string
  readonly #server = createServer()
  readonly #sockets = new Set<Socket>()

  private constructor(directory: string, path: string) {
    this.#directory = directory
    this.path = path
  }

  /** Listens with a greeting (empty text: none at all) and a script; negotiation is answered by itself when a greeting was sent. */
  static async listen({
    greeting = fakeGreeting,
    script,
  }: {
    readonly greeting?: string
    readonly script: FakeMonitorScript
  }): Promise<FakeMonitor> {
    const directory = await mkdtemp(join(tmpdir(), 'fake-monitor-'))
    const monitor = new FakeMonitor(directory, join(directory, 'qmp.sock'))
    monitor.#server.on('connection', (socket) => {
      monitor.#sockets.add(socket)
      socket.on('error', () => socket.destroy())
      if (greeting !== '') socket.write(greeting)
      let held = ''
      socket.on('data', (chunk: Buffer) => {
        const lines = (held + chunk.toString('utf8')).split('\r\n')
        held = lines.pop() ?? ''
        for (const line of lines) monitor.#dispatch(line, { socket, script })
      })
    })
    await new Promise<void>((resolve) => monitor.#server.listen(monitor.path, resolve))
    return monitor
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
    await rm(this.#directory, { recursive: true, force: true })
  }

  #dispatch(line: string, { socket, script }: { readonly socket: Socket; readonly script: FakeMonitorScript }): void {
    const parsed: unknown = JSON.parse(line)
    if (typeof parsed !== 'object' || parsed === null || !('execute' in parsed) || !('id' in parsed)) return
    if (parsed.execute === 'qmp_capabilities') answer(socket, String(parsed.id))
    else script({ name: String(parsed.execute), id: String(parsed.id) }, socket)
  }
}
