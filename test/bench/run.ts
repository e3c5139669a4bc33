import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { availableVirtType } from '../conformance/story-world.ts'
import { type Bar, barTable, describeMachine } from './bars.ts'
import { capabilities } from './capabilities.ts'
import { installPeers } from './es-peers.ts'
import { eventstore } from './eventstore.ts'
import { type BenchOptions, smoke } from './smoke.ts'

/** The benches by name. */
const benches: Readonly<Record<string, (options: BenchOptions) => Promise<readonly Bar[]>>> = {
  smoke,
  eventstore,
  capabilities,
}

const usage = `npm run bench -- NAME [--quick] [--rounds N] [--json FILE]
npm run bench -- --install-peers

Measures ours and its peers in turns; the medians of the rounds and their spread.
  smoke            our daemon beside a private libvirtd, where that is installed
  eventstore       our event store beside Emmett, message-db and dcb-es in one PostgreSQL, where they are installed
  capabilities     probes and look-ups beside libvirtd with the same emulators
  --quick          short rounds, small logs
  --rounds N       5 if not given
  --only BAR       of eventstore: the part that measures a bar, as 9
  --json FILE      write {"bench","machine","bars":[…]}
  --install-peers  put the rivals of the event store into a temporary folder`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '5' },
      json: { type: 'string' },
      only: { type: 'string' },
      'install-peers': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const [name = ''] = positionals
  const say = (line: string): void => console.error(line)
  if (values['install-peers']) {
    installPeers(say)
    return 0
  }
  const bench = Object.hasOwn(benches, name) ? benches[name] : undefined
  const rounds = Number(values.rounds)
  if (bench === undefined || values.help || !(rounds >= 1)) {
    console.log(usage)
    return values.help ? 0 : 2
  }
  const machine = describeMachine(availableVirtType())
  const only = values.only === undefined ? {} : { only: values.only }
  const bars = await bench({ rounds, quick: values.quick, seconds: values.quick ? 0.25 : 1, say, ...only })
  console.log(
    Object.entries(machine)
      .map(([key, value]) => `${key} ${value}`)
      .join(', '),
  )
  console.log(barTable(bars).join('\n'))
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ bench: name, machine, bars }, null, 1)}\n`)
  return 0
}

process.exitCode = await main()
