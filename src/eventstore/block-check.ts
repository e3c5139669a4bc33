import { blockPositions } from './filter-plan.ts'
import type { LogFindings } from './log-finding.ts'
import { fieldsOf, type LogSource } from './log-tables.ts'

const perBlock = Number(blockPositions)

/** Compares the skip blocks, of types or of categories, with those that the events give. */
export class BlockCheck {
  readonly #findings: LogFindings
  readonly #table: 'type_block' | 'category_block'
  readonly #idColumn: string
  /** `id/block` of what occurs. */
  readonly #occurs = new Set<string>()
  #block = -1
  #end = 0
  /** The last block in which a number occurred. */
  readonly #lastBlocks: number[] = []

  constructor(findings: LogFindings, table: 'type_block' | 'category_block') {
    this.#findings = findings
    this.#table = table
    this.#idColumn = table === 'type_block' ? 'type_id' : 'category_id'
  }

  take(position: number, id: number): void {
    if (position >= this.#end) {
      this.#block = Math.floor(position / perBlock)
      this.#end = (this.#block + 1) * perBlock
    }
    if (this.#lastBlocks[id] === this.#block || id < 0) return
    this.#lastBlocks[id] = this.#block
    this.#occurs.add(`${id}/${this.#block}`)
  }

  /** Events before `from` were not read. */
  async finish(source: LogSource, from: bigint): Promise<void> {
    const rows = source.rows(this.#table)
    if (rows === null) return
    for await (const page of rows) {
      for (const row of page) {
        const [id, block] = fieldsOf(row, 2)
        if (!id || !block) throw new RangeError(`a row of table ${this.#table} has a null`)
        const key = `${id.readInt32BE()}/${block.readBigInt64BE()}`
        if (this.#occurs.delete(key) || block.readBigInt64BE() * blockPositions < from) continue
        this.#add(key, 'says that a block of events holds what it does not')
      }
    }
    for (const key of this.#occurs) this.#add(key, 'is missing: a filtered read would leave events out')
  }

  #add(key: string, text: string): void {
    const columns = [this.#idColumn, 'block']
    this.#findings.add({ table: this.#table, key, columns, position: null, text: `${this.#table} ${key} ${text}` })
  }
}
