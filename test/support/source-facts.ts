// What the tidy test reads from source texts. Each function takes a text, so that it can be shown to find faults.

/** Exported declarations without a doc comment right above them, as `line: declaration`. Only the first of overloads needs one. */
export function exportsWithoutComment(source: string): string[] {
  const lines = source.split('\n')
  const seen = new Set<string>()
  const bare: string[] = []
  lines.forEach((line, index) => {
    const name =
      /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|type|interface) (\w+)/.exec(
        line,
      )?.[1]
    if (name === undefined || seen.has(name)) return
    seen.add(name)
    if (!hasDocComment(lines, index)) bare.push(`${index + 1}: ${line.trim()}`)
  })
  return bare
}

function hasDocComment(lines: readonly string[], index: number): boolean {
  const end = index - 1
  if (!lines[end]?.trimEnd().endsWith('*/')) return false
  let start = end
  while (start > 0 && !lines[start]?.trimStart().startsWith('/**')) start -= 1
  const words = lines
    .slice(start, end + 1)
    .join(' ')
    .replace(/[/*]/g, ' ')
    .trim()
  return /\w{3}/.test(words)
}

/** Phases of a block job that last, and the field's own words: no past participle exists for them. */
const namedStates = ['BlockJobReady', 'BlockJobFinalizing', 'BlockJobPivoting', 'DomainShutOff']
const irregularParticiples =
  'Taken|Lost|Forgotten|Reset|Set|Sent|Begun|Done|Cut|Put|Kept|Held|Left|Found|Written|Run|Split|Made|Met|Read|Shown|Known|Given|Chosen|Overrun|Undone|Gone|Hung|Rebuilt|Built'
const pastTense = new RegExp(`^([A-Z][a-z0-9]*)+([a-z]ed|${irregularParticiples})$`)

/** Whether an event is named as a fact that has happened: subject and past participle. */
export function isPastTense(eventType: string): boolean {
  return namedStates.includes(eventType) || pastTense.test(eventType)
}

/** Names of the handlers in a file of rpc/: the keys of its `export const …Handlers … = {`. */
export function handlerNames(source: string): string[] {
  const names: string[] = []
  let inside = false
  for (const line of source.split('\n')) {
    if (/^export const \w*[hH]andlers\b.*\{$/.test(line)) inside = true
    else if (line.startsWith('}')) inside = false
    else if (inside) {
      const name = /^ {2}(?:async )?(\w+)(?:\(|:|,$)/.exec(line)?.[1]
      if (name !== undefined) names.push(name)
    }
  }
  return names
}

/** `domainGetInfo` as it is called on the wire and in recordings: `DOMAIN_GET_INFO`. */
export function wireName(handler: string): string {
  return handler.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase()
}

/** Commands that a README shows in code: scripts run by npm, and subcommands of chronovisor. */
export function readmeCommands(readme: string): {
  readonly scripts: readonly string[]
  readonly subcommands: readonly string[]
} {
  const code = [...readme.matchAll(/```[\s\S]*?```|`[^`\n]+`/g)].map((match) => match[0]).join('\n')
  const scripts = [...code.matchAll(/\bnpm (?:(?:run|run-script) ([\w:-]+)|(test|start)\b)/g)].map(
    (match) => match[1] ?? match[2] ?? '',
  )
  const subcommands = [...code.matchAll(/(?:npx |^\$? ?|`)chronovisor ([a-z][\w-]*)/gm)].map((match) => match[1] ?? '')
  return { scripts: [...new Set(scripts)], subcommands: [...new Set(subcommands)] }
}

/** Files and folders of the project that a README names in code; `*` and `<name>` stand for any part of a name. */
export function readmePaths(readme: string): readonly string[] {
  const top = 'src|projections|migrations|test|fixtures'
  const spans = [...readme.matchAll(new RegExp(`\`((?:${top})(?:/[\\w.*<>-]+)*|\\.[\\w./-]+)\``, 'g'))]
  return [...new Set(spans.map((match) => match[1] ?? ''))].filter((span) => span !== '.sql' && span !== '.ts')
}

/** Whether a file is what a README's path names, or is in the folder that it names. */
export function isBelow(file: string, path: string): boolean {
  const pattern = path.replaceAll(/[.]/g, '\\.').replaceAll(/\*|<\w+>/g, '[^/]*')
  return new RegExp(`^${pattern}(/|$)`).test(file)
}

const TABLE_RULES = /^(primary|unique|check|constraint|foreign|exclude|like)\b/i

/** Columns of the tables and views that a .sql file creates and does not comment on, as `table.column`. */
export function columnsWithoutComment(sql: string): { readonly columns: number; readonly bare: readonly string[] } {
  const text = sql.replace(/--[^\n]*/g, '')
  const commented = new Set(
    [...text.matchAll(/comment\s+on\s+column\s+([\w.]+)\s+is\s+'/gi)].map((match) => lastParts(match[1] ?? '')),
  )
  const columns = [...tableColumns(text), ...viewColumns(text)]
  return { columns: columns.length, bare: columns.filter((column) => !commented.has(column)) }
}

function tableColumns(text: string): string[] {
  return [...text.matchAll(/create\s+table\s+(?:if\s+not\s+exists\s+)?([\w.]+)\s*\(/gi)].flatMap((match) => {
    const items = splitAtCommas(insideParentheses(text, match.index + match[0].length))
    const names = items.filter((item) => !TABLE_RULES.test(item)).map((item) => item.split(/\s+/)[0] ?? '')
    return names.filter((name) => name !== '').map((name) => lastParts(`${match[1]}.${name}`))
  })
}

function viewColumns(text: string): string[] {
  const views = text.matchAll(
    /create\s+(?:or\s+replace\s+)?(?:materialized\s+)?view\s+([\w.]+)\s*(?:\([^)]*\)\s*)?(?:with\s*\([^)]*\)\s*)?as\s+select\s+/gi,
  )
  return [...views].flatMap((match) => {
    const rest = text.slice(match.index + match[0].length)
    return splitAtCommas(beforeFrom(rest)).map((item) => {
      const name = /(\w+)"?\s*$/.exec(item)?.[1] ?? item
      return lastParts(`${match[1]}.${name}`)
    })
  })
}

/** `schema.table.column` and `table.column` are the same to a reader of one file. */
function lastParts(name: string): string {
  return name.toLowerCase().split('.').slice(-2).join('.')
}

function insideParentheses(text: string, start: number): string {
  let depth = 1
  let end = start
  for (; end < text.length && depth > 0; end += 1) {
    if (text[end] === '(') depth += 1
    if (text[end] === ')') depth -= 1
  }
  return text.slice(start, end - 1)
}

function beforeFrom(text: string): string {
  let depth = 0
  for (let index = 0; index < text.length; index += 1) {
    if (text[index] === '(') depth += 1
    if (text[index] === ')') depth -= 1
    if (depth === 0 && /^(\sfrom\s|;)/i.test(text.slice(index, index + 6))) return text.slice(0, index)
  }
  return text
}

function splitAtCommas(list: string): string[] {
  const items: string[] = []
  let depth = 0
  let item = ''
  for (const character of list) {
    if (character === '(') depth += 1
    if (character === ')') depth -= 1
    if (character === ',' && depth === 0) {
      items.push(item.trim())
      item = ''
    } else item += character
  }
  return [...items, item.trim()].filter((each) => each !== '')
}
