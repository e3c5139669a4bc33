import { createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { RefusedError, type ServedStore } from './served-store.ts'
import { type WriterAnswer, type WriterRequest, frame, parseRequest } from './writer-frames.ts'

/** Serves a store to clients: a line is a request, its answer another, in whatever order they are settled. Resolves once it listens. */
export function serveWriter(path: string, store: ServedStore, close: () => Promise<void>): Promise<void> {
  const server = createServer((socket) => serve(socket, store, close))
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve())
  })
}

function serve(socket: Socket, store: ServedStore, close: () => Promise<void>): void {
  // Who is gone gets no answer.
  socket.on('error', () => undefined)
  const lines = createInterface({ input: socket }).on('error', () => undefined)
  lines.on('line', (line) => {
    const request = parseRequest(line)
    if (request.kind === 'close') void close()
    void answer(request, store).then((told) => {
      if (socket.writable) socket.write(frame(told))
    })
  })
}

async function answer(request: WriterRequest, store: ServedStore): Promise<WriterAnswer> {
  const { id } = request
  try {
    return await settle(request, store)
  } catch (error) {
    if (error instanceof RefusedError)
      return { kind: 'refused', id, reason: error.message, wrongRevision: error.wrongRevision }
    return { kind: 'unknown', id, reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error) }
  }
}

async function settle(request: WriterRequest, store: ServedStore): Promise<WriterAnswer> {
  const { id } = request
  switch (request.kind) {
    case 'append': {
      const appended = await store.append(request.writes, request.requestId)
      return { kind: 'acknowledged', id, ...appended, places: [...appended.places], head: store.head() }
    }
    case 'count': {
      const appended = await store.count(request)
      return { kind: 'acknowledged', id, ...appended, places: [...appended.places], head: store.head() }
    }
    case 'last':
      return { kind: 'last', id, ...(await store.last(request.stream)) }
    case 'moment':
      return { kind: 'moment', id, ...(await store.moment(request.agoUs)) }
    case 'clock':
      store.setClock(request.offsetUs)
      return { kind: 'done', id }
    case 'close':
      return { kind: 'done', id }
  }
}
