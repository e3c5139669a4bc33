import koffi from 'koffi'

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_NOSIGNAL = 0x4000
/** `sun_path` of a socket address on Linux. */
const PATH_LIMIT_BYTES = 108

/** What the service manager is told; see sd_notify(3). */
export interface ServiceState {
  /** The daemon answers now; said once. */
  readonly ready?: true
  /** The daemon is about to end by its own will. */
  readonly stopping?: true
  /** One line for `systemctl status`. */
  readonly status?: string
}

/**
 * Tells the service manager (systemd, Type=notify) how the daemon is, by a datagram to $NOTIFY_SOCKET; Node has no such
 * sockets, so libc's are called. The process number goes along: the launcher may be a process of its own.
 * Returns whether a service manager is there and was told; a failure must not end a daemon that otherwise serves.
 */
export function sdNotify(state: ServiceState, socketPath: string | undefined = process.env['NOTIFY_SOCKET']): boolean {
  if (socketPath === undefined || !/^[/@]/.test(socketPath)) return false
  const address = socketAddress(socketPath)
  if (address === null) return false
  const lines = [
    ...(state.ready === true ? ['READY=1'] : []),
    ...(state.stopping === true ? ['STOPPING=1'] : []),
    ...(state.status === undefined ? [] : [`STATUS=${state.status.replaceAll('\n', ' ')}`]),
    `MAINPID=${process.pid}`,
  ]
  return sendDatagram(address, Buffer.from(lines.join('\n')))
}

/** `sockaddr_un`: the family in the machine's byte order, then the path; "@" stands for the NUL of an abstract name. */
function socketAddress(path: string): Buffer | null {
  const name = Buffer.from(path)
  if (name.length >= PATH_LIMIT_BYTES) return null
  if (path.startsWith('@')) name[0] = 0
  return Buffer.concat([Buffer.from(new Uint16Array([AF_UNIX]).buffer), name])
}

function sendDatagram(address: Buffer, payload: Buffer): boolean {
  const libc = koffi.load(null)
  const socket = libc.func('int socket(int domain, int type, int protocol)')
  const sendto = libc.func(
    'long sendto(int fd, const void *data, size_t size, int flags, const void *to, unsigned int toSize)',
  )
  const close = libc.func('int close(int fd)')
  const fd: unknown = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (typeof fd !== 'number' || fd < 0) return false
  const sent: unknown = sendto(fd, payload, payload.length, MSG_NOSIGNAL, address, address.length)
  close(fd)
  return sent === payload.length
}
