import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import type { Tally } from '../eventstore/tally.ts'
import { type MetricRow, metricTable } from './metric-table.ts'
import type { MetricsSnapshot } from './metrics-source.ts'

/** Prints the metrics of a moment in Prometheus' text form. */
export class MetricsRegistry {
  readonly #registry = new Registry()
  readonly #read: () => Promise<MetricsSnapshot>
  #snapshot: MetricsSnapshot | null = null
  #printing: Promise<string> | null = null

  /** `read` is asked once for each text. */
  constructor(read: () => Promise<MetricsSnapshot>) {
    this.#read = read
    for (const row of metricTable) this.#add(row)
    collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** The text; who asks while one is being made gets that one. */
  print(): Promise<string> {
    this.#printing ??= this.#print().finally(() => {
      this.#printing = null
    })
    return this.#printing
  }

  async #print(): Promise<string> {
    const snapshot = await this.#read()
    this.#snapshot = snapshot
    const histograms = metricTable.map((row) =>
      row.kind === 'histogram' ? histogramText(row, row.read(snapshot)) : '',
    )
    return `${histograms.join('')}${await this.#registry.metrics()}`
  }

  #add(row: MetricRow): void {
    const { name, help } = row
    const registers = [this.#registry]
    switch (row.kind) {
      case 'histogram':
        return // printed by itself
      case 'counter': {
        const samples = () => this.#of((snapshot) => row.read(snapshot)) ?? []
        return void new Counter({
          ...{ name, help, registers, labelNames: labelsOf(row) },
          collect() {
            this.reset()
            for (const { label, value } of samples()) this.inc(labelled(row.label, label), value)
          },
        })
      }
      case 'gauge': {
        const samples = () => this.#of((snapshot) => row.read(snapshot)) ?? []
        return void new Gauge({
          ...{ name, help, registers, labelNames: labelsOf(row) },
          collect() {
            this.reset()
            if (row.label === undefined) this.remove() // without labels there is a 0 that nobody has measured
            for (const { label, value } of samples()) this.set(labelled(row.label, label), value)
          },
        })
      }
    }
  }

  #of<T>(read: (from: MetricsSnapshot) => T): T | null {
    return this.#snapshot === null ? null : read(this.#snapshot)
  }
}

/** A histogram whose values were counted elsewhere, in the text form. */
function histogramText({ name, help }: Pick<MetricRow, 'name' | 'help'>, { bounds, counts, sum }: Tally): string {
  let below = 0
  const buckets = counts.map((count, at) => {
    below += count
    return `${name}_bucket{le="${bounds[at] ?? '+Inf'}"} ${below}`
  })
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`, ...buckets, `${name}_sum ${sum}`]
  return [...lines, `${name}_count ${below}`, '', ''].join('\n')
}

function labelsOf({ label }: { readonly label?: string }): string[] {
  return label === undefined ? [] : [label]
}

function labelled(name: string | undefined, value: string | undefined): Record<string, string> {
  return name === undefined || value === undefined ? {} : { [name]: value }
}
