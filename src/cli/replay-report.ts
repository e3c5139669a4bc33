import * as v from 'valibot'

const count = v.pipe(
  v.string(),
  v.regex(/^-?\d+$/),
  v.transform((text) => BigInt(text)),
)

/** The report of a replay as the daemon sends it. */
export const replayReportSchema = v.object({
  identical: v.boolean(),
  position: count,
  tables: v.array(v.object({ name: v.string(), versions: count, differences: count })),
  differences: v.array(
    v.object({
      table: v.string(),
      where: v.picklist(['table', 'memory']),
      only: v.picklist(['stored', 'replayed']),
      row: v.string(),
    }),
  ),
  deadLetters: v.array(v.string()),
})

/** What a replay found, by whichever program. */
export type ShownReplay = Readonly<v.InferOutput<typeof replayReportSchema>> & {
  /** Whether the rows in the daemon's memory were compared, too. */
  readonly memory: boolean
}
