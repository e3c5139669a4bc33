import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as v from 'valibot'
import { openCheckpoint, parseCheckpoint } from '../../src/eventstore/checkpoint.ts'
import { cosigner, newSignerKey, parseNote, parseVerifierKey } from '../../src/eventstore/signed-note.ts'
import { controlProcedures } from '../../src/protocol/control-procedures.ts'
import { programs } from '../../src/protocol/programs.ts'
import { encode } from '../../src/xdr/xdr-codec.ts'
import { type Captured, capture } from '../support/capture.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { type RunningDaemon, startDaemon } from '../support/running-daemon.ts'

const launcher = fileURLToPath(new URL('../../src/launcher.js', import.meta.url))
const verified = v.looseObject({ count: v.number(), size: v.string(), checkpoints: v.number(), from: v.string() })

let daemon: RunningDaemon
let files: string

beforeAll(async () => {
  files = mkdtempSync(join(tmpdir(), 'evidence-'))
  daemon = await startDaemon({ driver: 'test' })
})
afterAll(async () => {
  await daemon[Symbol.asyncDispose]()
  rmSync(files, { recursive: true })
})

/** Somebody else's machine: no daemon, no log, no settings. */
async function elsewhere(...args: readonly string[]): Promise<Captured> {
  const env = {
    HOME: files,
    XDG_STATE_HOME: files,
    CHRONOVISOR_STATE_DIR: join(files, 'no'),
    CHRONOVISOR_SOCKET_DIR: join(files, 'no'),
  }
  return await capture(process.execPath, [launcher, ...args], { env, timeoutMs: 60_000 })
}

async function ok(answer: Promise<Captured>): Promise<string> {
  const { status, out, err } = await answer
  expect(status, err).toBe(0)
  return out
}

describe('the commands of tamper evidence', () => {
  test('sign, verify, prove and check a proof without log and daemon', async () => {
    const key = (await ok(daemon.cli('checkpoint', '--key'))).trim()
    const note = await ok(daemon.cli('checkpoint'))
    const anchor = join(files, 'anchor')
    writeFileSync(anchor, note)
    expect(openCheckpoint(note, [parseVerifierKey(key)]).size).toBeGreaterThan(0n)
    expect(readFileSync(join(daemon.stateDir, 'log-checkpoint'), 'utf8')).toBe(note)
    const proof = join(files, 'event.proof')
    await ok(daemon.cli('prove', '@0', '--with-data', '--out', proof))
    const checked = await ok(elsewhere('verify-proof', proof, '--key', key))
    expect(checked).toContain('the proof holds: @0')
    expect(checked).toContain('DaemonStarted, revision 0 of node-')
    const summary = await ok(daemon.cli('verify', '--key', key))
    expect(summary).toContain('the log is what was recorded')
    expect(summary).not.toContain('note:')
    const other = newSignerKey('elsewhere')
    const foreign = await elsewhere('verify-proof', proof, '--key', `elsewhere+00000000+${other.slice(-44)}`)
    expect(foreign.status).toBe(2)
  })

  test('refuse every proof with one bit flipped', async () => {
    const proof = join(files, 'event.proof')
    const { verifyEventProof } = await import('../../src/eventstore/event-proof.ts')
    const bytes = readFileSync(proof)
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    expect(verifyEventProof(decoder.decode(bytes), { keys: null }).proof.event.position).toBe(0n)
    const accepted: number[] = []
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      try {
        verifyEventProof(decoder.decode(flipped), { keys: null })
        accepted.push(bit)
      } catch {
        continue
      }
    }
    expect(accepted).toEqual([])
    const wrong = Buffer.from(bytes)
    wrong[bytes.indexOf('revision 0') + 9] = 0x31
    writeFileSync(join(files, 'wrong.proof'), wrong)
    const { status, out } = await elsewhere('verify-proof', join(files, 'wrong.proof'))
    expect([status, out]).toEqual([3, expect.stringContaining('does not hold')])
  })

  test('prove that the log grew, and verify it from an older checkpoint on, also one that a witness signed', async () => {
    const key = (await ok(daemon.cli('checkpoint', '--key'))).trim()
    const anchor = join(files, 'anchor')
    await daemon.stop()
    await daemon.start()
    const proof = join(files, 'growth.proof')
    await ok(daemon.cli('prove', 'consistency', anchor, '--out', proof))
    const text = await ok(elsewhere('verify-proof', proof, '--key', key))
    expect(text).toMatch(/the \d+ events of chronovisor\/.* begin with the \d+ that were signed before/)
    const broken = readFileSync(proof, 'utf8').replace(
      /path\n(.)/,
      (_, first: string) => `path\n${first === 'A' ? 'B' : 'A'}`,
    )
    writeFileSync(join(files, 'broken.proof'), broken)
    expect((await elsewhere('verify-proof', join(files, 'broken.proof'), '--key', key)).status).toBe(3)
    const { size } = parseCheckpoint(parseNote(readFileSync(anchor, 'utf8')).text)
    const report = v.parse(verified, JSON.parse(await ok(daemon.cli('verify', '--json', '--from-checkpoint', anchor))))
    expect(report).toMatchObject({ count: 0 })
    expect(BigInt(report.size)).toBeGreaterThan(size)
    const witness = cosigner(newSignerKey('witness.example'), () => 1_700_000_000n)
    const note = readFileSync(anchor, 'utf8')
    expect((await daemon.cli('verify', '--from-checkpoint', anchor, '--witness', witness.verifier.key)).status).toBe(2)
    const id = Buffer.alloc(4)
    id.writeUInt32BE(witness.verifier.keyId)
    const cosignature = Buffer.concat([id, witness.sign(parseNote(note).text)]).toString('base64')
    writeFileSync(anchor, `${note}\u2014 witness.example ${cosignature}\n`)
    await ok(daemon.cli('verify', '--from-checkpoint', anchor, '--witness', witness.verifier.key))
  })

  test('erase what nothing is made of, and nothing else; every earlier proof goes on to hold', async () => {
    const told = v.array(v.looseObject({ position: v.string(), type: v.string() }))
    const events = v.parse(told, JSON.parse(await ok(daemon.cli('log', '--json'))))
    const observed = events.find(({ type }) => type === 'HostFactsObserved')
    const position = `@${observed?.position ?? ''}`
    const key = (await ok(daemon.cli('checkpoint', '--key'))).trim()
    const proof = join(files, 'erased.proof')
    await ok(daemon.cli('prove', position, '--out', proof))
    expect((await daemon.cli('erase', position)).err).toContain('Give a --reason')
    const refused = await daemon.cli('erase', '@0', '--reason', 'try')
    expect([refused.status, refused.err]).toEqual([
      2,
      expect.stringContaining("the daemon's own state is made of events of type DaemonStarted"),
    ])
    expect(await ok(daemon.cli('erase', position, '--reason', 'CHG-1'))).toContain('The data of HostFactsObserved')
    expect((await daemon.cli('erase', position, '--reason', 'again')).err).toContain('it was erased already')
    expect((await daemon.cli('erase', '@999999', '--reason', 'x')).err).toContain('there is no such event')
    await ok(elsewhere('verify-proof', proof, '--key', key))
    expect(await ok(daemon.cli('verify', '--key', key))).toContain('1 erased events accounted for')
    await daemon.stop()
    await daemon.start()
    expect(await ok(daemon.cli('replay', '--check'))).not.toBe('')
    const stopped = await ok(daemon.cli('log', '--type', 'PayloadErased'))
    expect(stopped).toContain(`the data of HostFactsObserved ${position}: CHG-1`)
  })

  test('are refused on a connection that may only read', async () => {
    const { checkpointSign, payloadErase } = controlProcedures
    await using reader = await RpcClient.open(daemon.file().sockets.readOnly, 'test:///default')
    const { number: program } = programs.control
    const calls = [
      { number: checkpointSign.number, args: encode(checkpointSign.args, {}) },
      { number: payloadErase.number, args: encode(payloadErase.args, { position: 1n, reason: 'CHG-2' }) },
    ]
    for (const { number, args } of calls) {
      await expect(reader.callRaw(number, args, { program })).rejects.toThrow(/read only access prevents/)
    }
  })

  test('verify finds a change in the database of a stopped daemon, names it, and ends with 3', async () => {
    const { database } = daemon.file()
    const { default: pg } = await import('pg')
    const client = new pg.Client({ ...database })
    await client.connect()
    await client.query(`set session_replication_role = replica`)
    await client.query(`update event set meta = set_byte(meta, 3, get_byte(meta, 3) # 4) where pos = 0`)
    await client.end()
    await daemon.stop()
    const { status, out } = await daemon.cli('verify')
    expect([status, out]).toEqual([3, expect.stringContaining('event 0 (meta): event @0 is not what was recorded')])
    expect(out).toContain('1 finding, the first at @0')
  })
})
