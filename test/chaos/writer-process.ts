// The process that writes: opens the store and serves clients on a UNIX socket, with one consumer of its own beside them. Says on its
// standard output what becomes of it: "ready", "busy: …", "fenced: …", "failed: …".
import { consume } from './consumer.ts'
import { openTarget } from './open-target.ts'
import { endWithParent, parseWriterOptions } from './process-options.ts'
import { serveWriter } from './serve-writer.ts'

endWithParent()
const options = parseWriterOptions(process.argv[2])

function end(line: string): void {
  process.stdout.write(`${line}\n`, () => process.exit(0))
}

// What was refused because of it is answered first.
const onFenced = (text: string) => setTimeout(() => end(`fenced: ${text}`), 200)

try {
  const opened = await openTarget(options, onFenced)
  if (options.socketPath === null) {
    await opened.store.close()
    end('opened')
  } else {
    const stop = new AbortController()
    const consuming =
      options.output === null || opened.source === null
        ? Promise.resolve()
        : consume({
            name: 'inside',
            prefix: '',
            output: options.output,
            source: opened.source,
            isApart: options.broken === 'position-apart',
            signal: stop.signal,
          })
    await serveWriter(options.socketPath, opened.store, async () => {
      stop.abort(new Error('The writer closes'))
      await Promise.race([consuming, new Promise((resolve) => setTimeout(resolve, 5_000))])
      await opened.store.close()
      end('closed')
    })
    process.stdout.write('ready\n')
  }
} catch (error) {
  const name = error instanceof Error ? error.name : ''
  const text = error instanceof Error ? error.message : String(error)
  end(`${name === 'WriterBusyError' || name === 'FencedError' ? 'busy' : 'failed'}: ${name}: ${text}`)
}
