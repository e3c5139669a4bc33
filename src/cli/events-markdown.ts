import {
  type DescribedFamily,
  type DescribedField,
  type DescribedType,
  describeTypes,
} from '../events/describe-catalogue.ts'

const introduction = `# Events

Every type of event that the daemon records, printed by \`chronovisor events --markdown\`. Data is UTF-8 JSON and is kept byte
for byte. Numbers of 64 bits are decimal text, so that nothing is lost over 2^53; units stand at the end of names. Every field
is always there; where it may be null, that is said.

A type keeps its name for ever. Where its data changes, its version goes up, and events of every older version are read as
if they had been written today; the bytes in the log stay what they are.
`

const retention = `## What is kept

Events are kept for ever: the log is never pruned, and only the payload of an event can be erased. What can be made again or
is needed for a while only is tidied up: rows of read models can be thrown away and replayed, the names of requests that may be
repeated are forgotten after their window. How much of each there may be:
`

/** The catalogue as a reference page. */
export function eventsMarkdown(families: readonly DescribedFamily[], metadata: readonly DescribedField[]): string {
  const types = describeTypes(families)
  const parts = [introduction, retention, growthTable(families)]
  parts.push('## Metadata\n\nStands beside the data of every event.\n', fieldTable(metadata))
  let last = ''
  for (const described of types) {
    const streams = described.streams.map(code).join(', ')
    if (streams !== last) parts.push(`## ${described.streams.length === 1 ? 'Stream' : 'Streams'} ${streams}\n`)
    last = streams
    parts.push(typeMarkdown(described))
  }
  return parts.join('\n')
}

function growthTable(families: readonly DescribedFamily[]): string {
  const rows = families.map(({ streams, facts, growth }) => {
    const types = Object.keys(facts).map(code).join(', ')
    return `| ${streams.map(code).join(', ')} | ${types} | ${cell(growth)} |`
  })
  return ['| streams | events | how many |', '|---|---|---|', ...rows, ''].join('\n')
}

/** One type of it. */
export function typeMarkdown({ type, version, meaning, fields }: DescribedType): string {
  const head = `### ${type}\n\nVersion ${version}. ${meaning}\n`
  if (fields.length === 0) return `${head}\nNo data.\n`
  return `${head}\n${fieldTable(fields)}`
}

function fieldTable(fields: readonly DescribedField[]): string {
  const rows = fields.flatMap((field) => fieldRows(field, ''))
  return ['| field | type | meaning |', '|---|---|---|', ...rows, ''].join('\n')
}

function fieldRows(field: DescribedField, before: string): readonly string[] {
  const { name, type, unit, meaning, mayBeNull, fields } = field
  const path = `${before}${name}`
  const types = `${type}${unit === null ? '' : `, ${unit}`}${mayBeNull ? ', or null' : ''}`
  const row = `| ${code(path)} | ${cell(types)} | ${cell(meaning)} |`
  const inside = type.startsWith('list') ? `${path}[].` : type.startsWith('map') ? `${path}{}.` : `${path}.`
  return [row, ...fields.flatMap((nested) => fieldRows(nested, inside))]
}

function code(text: string): string {
  return `\`${text}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
