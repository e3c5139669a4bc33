// What differs between two runs by its nature and not by what a daemon does. One row per kind, applied in this order.
const replacements = [
  [/\b\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} [+-]\d{4}/g, 'TIME'],
  [/\d+(\.\d+)? ?MHz/g, 'N MHz'],
  [/(CPU time: +)[\d.]+s/g, '$1N s'],
  [/(Pull|Commit|Copy): \[ *[\d.]+ %\]/g, '$1: [N %]'],
  [/^(Id: +|\s)\d+(\s+\w|$)/gm, '$1ID$2'],
  [/((?:Allocation|Physical): +)\d+/g, '$1N'],
  [/^( vd[a-z] +\d+) +\d+ +\d+$/gm, '$1 N N'],
  [/((?:\.times?|\.reqs|\.bytes|\.allocation|\.physical|cpu\.\w+)=)\d+/g, '$1N'],
  [/^-{4,}$/gm, '----'],
  [/^\d+$/gm, 'ID'],
  [/ +/g, ' '],
  [/ +$/gm, ''],
] as const satisfies readonly (readonly [RegExp, string])[]

/** A text without directories, times, ids, percentages and amounts of use, so that two runs can be compared. */
export function normaliseText(text: string, directory: string): string {
  const placed = text.replaceAll(directory, 'DIR').replaceAll(/\/\S+\/(libvirt-sock)/g, 'SOCKET/$1')
  return replacements.reduce((changed, [pattern, by]) => changed.replace(pattern, by), placed).trim()
}

/**
 * Lines about events without those that only libvirtd sends: "Resumed" in front of the "Started" of every domain (its QEMU is
 * started paused and continued), and "Shutdown Finished" in front of every "Stopped". Both repeat what the next line says.
 */
export function normaliseEvents(text: string): string {
  const lines = text.split('\n').filter((line) => !line.includes(': Shutdown Finished'))
  const isRepeated = (line: string, at: number): boolean =>
    line.endsWith(': Resumed Unpaused') && (lines[at + 1] ?? '').endsWith(': Started Booted')
  // A guest is reset several times in a row by its own firmware, and not always as often.
  const isSameReset = (line: string, at: number): boolean => line.startsWith("event 'reboot'") && lines[at - 1] === line
  return lines.filter((line, at) => !isRepeated(line, at) && !isSameReset(line, at)).join('\n')
}

const xmlReplacements = [
  [/^@id$/, /^\d+$/],
  [/creationTime$/, /^\d+$/],
  // Numbers of block nodes are counted by the daemon, from the order in which it made them.
  [/(source|backingStore|mirror)(\[\d+\])?@index$/, /^\d+$/],
  // Memory can be plugged into the machine while the story is told.
  [/cell\/memory$/, /^\d+$/],
  [/graphics@port$/, /^59\d\d$/],
  [/source@path$|@tty$/, /^\/dev\/pts\/\d+$/],
] as const satisfies readonly (readonly [RegExp, RegExp])[]

/** The value of a field of a document without what differs from run to run. */
export function normaliseField(name: string, value: string, directory: string): string {
  const isVolatile = xmlReplacements.some(([names, values]) => names.test(name) && values.test(value))
  return isVolatile ? 'N' : value.replaceAll(directory, 'DIR')
}
