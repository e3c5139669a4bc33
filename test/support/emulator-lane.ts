import { appendFileSync, copyFileSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { copyGuestDisk, FaultLane, guestXml } from './fault-lane.ts'
import type { GuardName } from './guards.ts'

/** A lane with a QEMU of its own, which can be replaced; it finds its firmware as the installed one does. */
export class EmulatorLane implements AsyncDisposable {
  readonly lane: FaultLane
  readonly binary: string
  #builds = 0

  constructor(lane: FaultLane) {
    this.lane = lane
    mkdirSync(lane.image('bin'), { mode: 0o755 })
    symlinkSync('/usr/share', lane.image('share'))
    symlinkSync('/usr/lib', lane.image('lib'))
    this.binary = join(lane.image('bin'), 'qemu-system-x86_64')
    copyFileSync('/usr/bin/qemu-system-x86_64', this.binary)
  }

  static async open(guardsOff: readonly GuardName[]): Promise<EmulatorLane> {
    return new EmulatorLane(await FaultLane.open({ guardsOff }))
  }

  async define(name: string): Promise<void> {
    const { lane, binary } = this
    await copyGuestDisk(lane.image('template.qcow2'), lane.image(`${name}.qcow2`))
    writeFileSync(lane.image(`${name}.xml`), guestXml(name, { vda: lane.image(`${name}.qcow2`) }, { emulator: binary }))
    await lane.done('define', lane.image(`${name}.xml`))
  }

  /** An upgrade as packages do it: another file under the same name, unlike all before. */
  replace(): void {
    copyFileSync('/usr/bin/qemu-system-x86_64', `${this.binary}.new`)
    appendFileSync(`${this.binary}.new`, `build ${(this.#builds += 1)}`)
    renameSync(`${this.binary}.new`, this.binary)
  }

  /** Types and data of the events about this emulator, in order. */
  async events(): Promise<readonly { readonly type: string; readonly data: string }[]> {
    const rows = await this.lane.rows(
      `select t.name, convert_from(e.data, 'UTF8') as data from event e join event_type t using (type_id)
       where t.name like 'Emulator%' and convert_from(e.data, 'UTF8') like $1 order by e.pos`,
      [`%"${this.binary}"%`],
    )
    return rows.map((row) => ({ type: String(row['name']), data: String(row['data']) }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lane[Symbol.asyncDispose]()
  }
}
