import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { hostname, release, version } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { remoteProcedures as procedures } from '../../src/protocol/procedure-table.ts'
import { catalogue, isFactType } from '../../src/events/catalogue.ts'
import { playEvents, withStableIds } from './event-story.ts'
import { projectRoot } from './project-files.ts'
import { recordedEvents } from './refusal-flood.ts'
import { RpcClient } from './rpc-client.ts'
import { startDaemon } from './running-daemon.ts'

const usage = `node test/support/record-events.ts [TYPE...]

Writes fixtures/events/TYPE.VERSION.json for types whose newest version has none, or for the types named: the event that says
most, of those that a daemon with QEMU records and those of the story that the suite plays without QEMU.
A version that was ever released is pinned: it is never recorded again.`

/** An event as it was recorded. */
interface Recording {
  readonly type: string
  readonly schema: number
  readonly text: string
}

/** What a daemon with QEMU records from its first start over a run of a domain to its next start. */
async function realDay(): Promise<readonly Recording[]> {
  await using daemon = await startDaemon({ driver: 'qemu' })
  const image = join(daemon.directory, 'web.qcow2')
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '10G'])
  const disk = `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${image}'/><target dev='vda' bus='virtio'/></disk>`
  const devices = `<devices>${disk}<serial type='pty'/><graphics type='vnc' autoport='yes'/></devices>`
  const xml = `<domain type='qemu'><name>web</name><metadata><o:owner xmlns:o='urn:o'>billing</o:owner></metadata><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='pc'>hvm</type></os>${devices}</domain>`
  {
    await using client = await RpcClient.open(daemon.socketPath())
    const { domain } = await client.call(procedures.domainDefineXml, { xml: Buffer.from(xml) })
    await client.call(procedures.domainCreate, { domain })
    await client.call(procedures.domainDestroy, { domain })
    const odd = xml.replace('<name>web', '<name>odd').replace('<devices>', '<devices><emulator>/bin/true</emulator>')
    await client.call(procedures.domainDefineXml, { xml: Buffer.from(odd) }).catch(() => undefined)
  }
  await daemon.stop()
  await daemon.start()
  for (;;) {
    const events = await recordedEvents(daemon.file())
    if (events.filter(({ type }) => type === 'HostFactsObserved').length === 2)
      return events.map(told(daemon.directory))
    await sleep(50)
  }
}

/** The text of a recording, without the names that this machine and this run gave to things. */
function told(directory: string) {
  const kernel = `"kernel":"${release()} ${version()}"`
  return ({ type, schema, data }: { readonly type: string; readonly schema: number; readonly data: Buffer }) => ({
    type,
    schema,
    text: data
      .toString('utf8')
      .replaceAll(directory, '/var/lib/images')
      .replaceAll(`"${hostname()}"`, '"host-1"')
      .replaceAll(kernel, '"kernel":"6.1.0-37-amd64"'),
  })
}

/** The event of a type that says most: it leaves least empty, and is longest. */
function richest(recordings: readonly Recording[], type: string): Recording | undefined {
  const empty = ({ text }: Recording) => text.match(/\[\]|null|""/g)?.length ?? 0
  const order = (a: Recording, b: Recording) => empty(a) - empty(b) || b.text.length - a.text.length
  return recordings.filter((one) => one.type === type).toSorted(order)[0]
}

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h', default: false } },
  })
  if (values.help || positionals.some((type) => !isFactType(type))) {
    console.log(usage)
    return values.help ? 0 : 2
  }
  const fileOf = (type: string, schema: number) => join(projectRoot, `fixtures/events/${type}.${schema}.json`)
  const wanted = Object.entries(catalogue).filter(([type, { schema }]) =>
    positionals.length > 0 ? positionals.includes(type) : !existsSync(fileOf(type, schema)),
  )
  if (wanted.length === 0) return 0
  const played = (await playEvents()).map(({ data, ...event }) => ({
    ...event,
    text: Buffer.from(data).toString('utf8'),
  }))
  const real = await realDay()
  for (const [type] of wanted) {
    const found = richest([...real, ...played], type)
    if (found === undefined) {
      console.error(`Nothing records ${type}: its fixture has to be written by hand, and be named in test/tidy.test.ts`)
      continue
    }
    writeFileSync(fileOf(type, found.schema), `${withStableIds([found.text])[0] ?? ''}\n`)
    console.log(`${type}.${found.schema} ${found.text.length} bytes`)
  }
  return 0
}

process.exitCode = await main()
