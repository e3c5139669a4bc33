import { Fault } from '../util/fault.ts'
import { readHostText } from './read-host-text.ts'

/** Numeric id of a group by name, or the number itself. Throws Fault when there is no such group. */
export function groupIdOf(name: string): number {
  if (/^\d+$/.test(name)) return Number(name)
  const line = (readHostText('/etc/group') ?? '').split('\n').find((one) => one.startsWith(`${name}:`))
  const gid = Number(line?.split(':')[2] ?? Number.NaN)
  if (Number.isInteger(gid)) return gid
  throw new Fault('system', `Cannot find group "${name}": it is not in /etc/group`)
}
