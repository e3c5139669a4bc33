import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { completeDomain } from '../../src/conf/complete-domain.ts'
import { formatDomain } from '../../src/conf/format-domain.ts'
import { withChain, withLive } from '../../src/conf/live-def.ts'
import { parseDomain } from '../../src/conf/parse-domain.ts'
import { refuseSecrets, secretsIn } from '../../src/conf/refuse-secrets.ts'
import { DefinitionError } from '../../src/xml/definition-error.ts'
import { qemu72 } from '../support/emulator-facts.ts'

const fixture = (name: string): string =>
  readFileSync(new URL(`../../fixtures/domain-xml/${name}.xml`, import.meta.url), 'utf8')
const stored = fixture('web-server.stored')
const fresh = {
  uuid: '6a0f3c5e-2b41-4f0e-9d53-0c1f8f3f7a11',
  randomBytes: (count: number) => Uint8Array.from({ length: count }, (_, index) => index + 1),
}

describe('formatDomain()', () => {
  test('prints a stored definition back byte for byte', () => {
    expect(formatDomain(parseDomain(stored))).toBe(stored)
  })

  test('prints the id of a running domain and no id otherwise', () => {
    const def = parseDomain(stored)
    expect(formatDomain(def, { live: { id: 7 } })).toMatch(/^<domain type='qemu' id='7'>/)
    expect(formatDomain(parseDomain(stored.replace('<domain ', "<domain id='9' ")))).toBe(stored)
  })

  test('leaves out secrets unless the caller may see them', () => {
    const secret = stored.replace(
      "autoport='yes'>",
      "autoport='yes' passwd='hunter2' passwdValidTo='2030-01-01T00:00:00'>",
    )
    const def = parseDomain(secret)
    expect(formatDomain(def)).toBe(stored)
    expect(formatDomain(def, { secure: true })).toBe(secret)
  })

  test('leaves out cookies of a network source', () => {
    const cookies = `<cookies><cookie name='c'>hunter2</cookie></cookies>`
    const source = `<disk type='network'><source protocol='https' name='i'>${cookies}</source><target dev='vdb'/></disk>`
    const def = parseDomain(stored.replace('<controller', `${source}<controller`))
    expect(formatDomain(def)).not.toContain('hunter2')
    expect(formatDomain(def)).toContain("<source protocol='https' name='i'/>")
    expect(formatDomain(def, { secure: true })).toContain('hunter2')
  })
})

function refusal(action: () => void): DefinitionError {
  try {
    action()
  } catch (error) {
    if (error instanceof DefinitionError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('refuseSecrets()', () => {
  test('names the secret and does not repeat it', () => {
    const def = parseDomain(stored.replace("autoport='yes'>", "autoport='yes' passwd='hunter2'>"))
    expect(secretsIn(def)).toEqual(['domain/devices/graphics/@passwd'])
    const error = refusal(() => refuseSecrets(def))
    expect(error).toMatchObject({ rule: 'secret', kind: 'config_unsupported' })
    expect(error.message).toContain('domain/devices/graphics/@passwd is a secret')
    expect(error.message).not.toContain('hunter2')
  })

  test('lets a definition without secrets pass', () => {
    expect(() => refuseSecrets(parseDomain(stored))).not.toThrow()
  })
})

describe('completeDomain()', () => {
  test('makes the stored definition from the submitted one', () => {
    const completed = completeDomain(parseDomain(fixture('web-server.submitted')), qemu72, fresh)
    expect(formatDomain(completed)).toBe(stored)
  })
})

describe('withLive()', () => {
  const chains = new Map([
    [
      'vda',
      [
        { index: 3, path: '/srv/images/web.snap', format: 'qcow2' },
        { index: 2, path: '/srv/images/web.qcow2', format: 'qcow2' },
        { index: 1, path: '/srv/images/base.img', format: 'raw' },
      ],
    ],
  ])
  const live = withLive(parseDomain(stored), chains, { vncPorts: [5901], terminals: { serial0: '/dev/pts/4' } })
  const printed = formatDomain(live, { live: { id: 1 } })

  test('shows the chain with an index on each layer, closed by its end', () => {
    expect(printed).toContain(`      <source file='/srv/images/web.snap' index='3'/>
      <backingStore type='file' index='2'>
        <format type='qcow2'/>
        <source file='/srv/images/web.qcow2'/>
        <backingStore type='file' index='1'>
          <format type='raw'/>
          <source file='/srv/images/base.img'/>
          <backingStore/>
        </backingStore>
      </backingStore>
      <target dev='vda' bus='virtio'/>`)
  })

  test('shows the VNC port and the terminals', () => {
    expect(printed).toContain("<graphics type='vnc' port='5901' autoport='yes'>")
    expect(printed).toContain(`    <serial type='pty'>
      <source path='/dev/pts/4'/>
      <target type='isa-serial' port='0'>`)
    expect(printed).toContain(`    <console type='pty' tty='/dev/pts/4'>
      <source path='/dev/pts/4'/>
      <target type='serial' port='0'/>
      <alias name='serial0'/>`)
  })

  test('shows where a screen listens that was given no address', () => {
    const shown = formatDomain(withLive(parseDomain(stored), new Map(), { vncPorts: [5900], vncListen: '127.0.0.1' }))
    expect(shown).toContain(`<graphics type='vnc' port='5900' autoport='yes' listen='127.0.0.1'>
      <listen type='address' address='127.0.0.1'/>`)
    const told = stored.replace("<listen type='address'/>", "<listen type='address' address='::1'/>")
    expect(formatDomain(withLive(parseDomain(told), new Map(), { vncListen: '127.0.0.1' }))).toBe(told)
  })

  test('adds nothing that the inactive definition would show, but for the chain', () => {
    const inactive = formatDomain(withLive(parseDomain(stored), new Map(), { terminals: { serial0: '/dev/pts/4' } }))
    expect(inactive).toBe(stored)
  })

  test('withChain() leaves a disk without a known chain as it is', () => {
    const disk = parseDomain(stored).devices.disks[1]
    expect(disk && withChain(disk, [])).toBe(disk)
  })
})
