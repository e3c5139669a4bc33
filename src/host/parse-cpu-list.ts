// Linux is built for at most 8192 CPUs.
const maxCpus = 8192

/** Numbers of a kernel list such as `0-3,8`, ascending as written; what is no such list is left out. */
export function parseCpuList(text: string): readonly number[] {
  const numbers: number[] = []
  for (const range of text.trim().split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range)
    if (match === null) continue
    const first = Number(match[1])
    const last = Number(match[2] ?? match[1])
    for (let n = first; n <= last && numbers.length < maxCpus; n += 1) numbers.push(n)
  }
  return numbers
}
