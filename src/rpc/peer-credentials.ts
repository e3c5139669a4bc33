import { readFileSync, readlinkSync } from 'node:fs'
import type { Socket } from 'node:net'
import koffi from 'koffi'

/** Who is at the other end of a UNIX socket, as the kernel recorded it when the connection was made. */
export interface PeerCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** Path of the peer's executable, its short name where the path is not readable, '' when the process is gone. */
  readonly program: string
}

/** Values of Linux's `socket(7)` on every architecture that Node.js and QEMU share. */
const solSocket = 1
const soPeercred = 17
/** `struct ucred`: pid, uid, gid. */
const ucredBytes = 12

// Bound while this module loads, at the daemon's start: node_modules may vanish while it runs.
const getsockopt = koffi
  .load(null)
  .func('int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)')

/** Credentials of a connected UNIX socket. Throws when the socket is closed or is none. */
export function peerCredentials(socket: Socket): PeerCredentials {
  const fd = descriptorOf(socket)
  const value = Buffer.alloc(ucredBytes)
  const status: unknown = getsockopt(fd, solSocket, soPeercred, value, [ucredBytes])
  if (status !== 0) throw new Error(`Cannot read the credentials of the peer of descriptor ${fd}: it is no UNIX socket`)
  const pid = value.readInt32LE(0)
  return { pid, uid: value.readUInt32LE(4), gid: value.readUInt32LE(8), program: programOf(pid) }
}

/** The executable of a process: by path, else by its short name, else ''. */
export function programOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
    } catch {
      return ''
    }
  }
}

/** Node has no public name for the descriptor of a socket. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle')
  if (typeof handle === 'object' && handle !== null && 'fd' in handle) {
    const { fd } = handle
    if (typeof fd === 'number' && fd >= 0) return fd
  }
  throw new Error('Cannot read the credentials of the peer: the socket is closed')
}
