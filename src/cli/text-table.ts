/** A column of a table for people. */
export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** Lines of a table: titles, then rows, columns two blanks apart; the last column is never padded. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = columns.map((column, at) =>
    rows.reduce((most, row) => Math.max(most, (row[at] ?? '').length), column.title.length),
  )
  const line = (cells: readonly string[]): string =>
    columns
      .map((column, at) => pad(cells[at] ?? '', { width: widths[at] ?? 0, align: column.align ?? 'left' }))
      .join('  ')
      .trimEnd()
  return [line(columns.map((column) => column.title)), ...rows.map(line)]
}

/** Lines `name  value`, the names padded to one width; lines of a value after the first are indented below it. */
export function formatFields(fields: readonly (readonly [name: string, value: string])[]): readonly string[] {
  const width = fields.reduce((most, [name]) => Math.max(most, name.length), 0)
  const indent = `\n${' '.repeat(width + 2)}`
  return fields.flatMap(([name, value]) =>
    `${name.padEnd(width)}  ${value.replaceAll('\n', indent)}`.split('\n').map((line) => line.trimEnd()),
  )
}

/** A text that fits into so many characters, with an ellipsis where it was cut. */
export function shorten(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`
}

function pad(text: string, { width, align }: { readonly width: number; readonly align: 'left' | 'right' }): string {
  return align === 'left' ? text.padEnd(width) : text.padStart(width)
}
