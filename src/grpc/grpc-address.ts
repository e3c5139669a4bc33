import { chmodSync, chownSync, lstatSync, rmSync } from 'node:fs'
import { connect, type ListenOptions, type Server } from 'node:net'

/** Where to listen: a UNIX socket with permissions, or a port of the loopback interface (0: any free one). */
export type GrpcAddress =
  | { readonly kind: 'unix'; readonly path: string; readonly mode: number; readonly gid?: number }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

/** `sun_path` holds 108 bytes, the last one a NUL. */
const maxPathBytes = 107

/** Starts to listen. Throws, naming the address, where another process has it or it cannot be. */
export async function listenOn(server: Server, address: GrpcAddress, what = 'gRPC'): Promise<void> {
  try {
    if (address.kind === 'tcp') await listening(server, { host: address.host, port: address.port, exclusive: true })
    else await listenOnSocket(server, address)
  } catch (error) {
    const name = address.kind === 'tcp' ? `${address.host}:${address.port}` : address.path
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`Cannot serve ${what} on ${name}: ${why}`, { cause: error })
  }
}

async function listenOnSocket(
  server: Server,
  { path, mode, gid }: GrpcAddress & { readonly kind: 'unix' },
): Promise<void> {
  if (Buffer.byteLength(path) > maxPathBytes) throw new Error(`its name has more than ${maxPathBytes} bytes`)
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found !== undefined && !found.isSocket()) throw new Error('it exists and is not a socket')
  if (found !== undefined && (await isAnswered(path))) throw new Error('another process answers there')
  rmSync(path, { force: true })
  // Nobody else may connect before the permissions are set.
  const umask = process.umask(0o177)
  const begun = listening(server, { path })
  process.umask(umask)
  await begun
  if (gid !== undefined) chownSync(path, process.geteuid?.() ?? 0, gid)
  chmodSync(path, mode)
}

async function listening(server: Server, options: ListenOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(options, resolve)
  await promise
  server.off('error', reject)
}

/** Whether a process accepts connections there; a socket left behind by a dead one refuses them. */
async function isAnswered(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = connect(path, () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}
