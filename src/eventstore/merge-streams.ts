import type { Direction } from './read-statements.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** Makes one sequence in the order of the log of several that each are in it: of each only what was read last is held. */
export async function* mergeStreams(
  streams: readonly AsyncGenerator<readonly RecordedEvent[], void>[],
  direction: Direction,
): AsyncGenerator<readonly RecordedEvent[], void> {
  try {
    const sources = (await Promise.all(streams.map(firstPage))).filter((source) => source !== null)
    while (sources.length > 0) {
      const merged: RecordedEvent[] = []
      for (;;) {
        const nearest = sources.reduce((best, source) => (isBefore(source, best, direction) ? source : best))
        merged.push(nearest.event)
        nearest.at += 1
        const event = nearest.page[nearest.at]
        if (event === undefined) {
          yield merged
          if (!(await turnPage(nearest))) sources.splice(sources.indexOf(nearest), 1)
          break
        }
        nearest.event = event
      }
    }
  } finally {
    await Promise.all(streams.map(async (stream) => await stream.return()))
  }
}

interface MergeSource {
  readonly pages: AsyncGenerator<readonly RecordedEvent[], void>
  page: readonly RecordedEvent[]
  at: number
  event: RecordedEvent
}

async function firstPage(pages: MergeSource['pages']): Promise<MergeSource | null> {
  const { value: page } = await pages.next()
  const event = page?.[0]
  return page === undefined || event === undefined ? null : { pages, page, at: 0, event }
}

/** False where the stream is at its end. */
async function turnPage(source: MergeSource): Promise<boolean> {
  const { value: page } = await source.pages.next()
  const event = page?.[0]
  if (page === undefined || event === undefined) return false
  source.page = page
  source.at = 0
  source.event = event
  return true
}

function isBefore(a: MergeSource, b: MergeSource, direction: Direction): boolean {
  return direction === 'forwards' ? a.event.position < b.event.position : a.event.position > b.event.position
}
