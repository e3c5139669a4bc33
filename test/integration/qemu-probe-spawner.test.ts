import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LocalProcesses } from '../../src/host/local-processes.ts'
import { ProbeSpawner } from '../../src/qemu/probe-spawner.ts'
import { killGroup, type SpawnedQemu } from '../../src/qemu/spawn-qemu.ts'

const limits = { memoryKib: 4 << 20, fileKib: 64, cpuSeconds: 5 }
const nobody = { uid: 65_534, gid: 65_534 }
const isRoot = userInfo().uid === 0

describe('ProbeSpawner', () => {
  let directory: string
  let output: FileHandle
  let spawner: ProbeSpawner

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'cv-spawner-'))
    chmodSync(directory, 0o755)
    output = await open(join(directory, 'output'), 'wx+', 0o600)
    spawner = new ProbeSpawner()
  })
  afterEach(async () => {
    await output.close()
    rmSync(directory, { recursive: true, force: true })
  })

  function script(name: string, text: string): string {
    const path = join(directory, name)
    writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    return path
  }
  async function start(binary: string, args: readonly string[] = []): Promise<SpawnedQemu> {
    const user = isRoot ? nobody : null
    return await spawner.spawn({ binary, args, user, outputDescriptor: output.fd, action: 'test', limits })
  }
  const written = (): string => readFileSync(join(directory, 'output'), 'utf8')

  test('hands arguments on as they are, as the user, within the limits, and tells pid and status', async () => {
    const words = ["it's", 'a "b"', '$HOME `id` \\ *', '', '; exit 9']
    const binary = script("pro'gram $x", 'echo $$ $(id -u) $(id -G) $(ulimit -c) "$HOME"; printf "<%s>" "$@"; exit 7')
    const { pid, ended } = await start(binary, words)
    expect(await ended).toEqual({ text: 'exit status 7', signal: null })
    const [first, rest] = written().split('\n')
    const who = isRoot ? `${nobody.uid} ${nobody.gid}` : String(userInfo().uid)
    expect(first).toMatch(new RegExp(`^${pid} ${who}.* 0 /$`))
    expect(rest).toBe(words.map((word) => `<${word}>`).join(''))
  })

  test('starts a group of its own, which killGroup() ends with all that is in it', async () => {
    const spawned = await start(script('family', 'sleep 60 & echo $!; wait'))
    await expect.poll(written, { timeout: 5_000 }).toMatch(/^\d+\n$/)
    const processes = new LocalProcesses()
    killGroup(spawned)
    expect(await spawned.ended).toEqual({ text: 'signal SIGKILL', signal: 'SIGKILL' })
    await expect.poll(() => processes.find(Number(written())), { timeout: 5_000 }).toBeNull()
  })

  test('starts many at once, each with its own end', async () => {
    const binary = script('status', 'exit $1')
    const all = await Promise.all(Array.from({ length: 20 }, async (_, at) => await start(binary, [String(at)])))
    expect(new Set(all.map(({ pid }) => pid)).size).toBe(20)
    const ends = await Promise.all(all.map(async ({ ended }) => (await ended).text))
    expect(ends).toEqual(Array.from({ length: 20 }, (_, at) => `exit status ${at}`))
  })

  test('starts what no line of a shell can hold all the same, and nothing but it', async () => {
    const trap = join(directory, 'trap')
    const name = `a\ntouch ${trap} #`.replaceAll('/', '_')
    const { ended } = await start(script(name, 'printf "<%s>" "$@"'), [`x'\ntouch ${trap} #`])
    expect((await ended).text).toBe('exit status 0')
    expect(written()).toBe(`<x'\ntouch ${trap} #>`)
    expect(() => readFileSync(trap)).toThrow(/ENOENT/)
  })

  test('tells that a program cannot be executed', async () => {
    const { ended } = await start(join(directory, 'missing'))
    expect((await ended).text).toBe('exit status 127')
    expect(written()).toMatch(/missing/)
  })

  test('goes on with another shell after the end of one', async () => {
    const hanging = await start(script('hang', 'exec sleep 60'))
    // The shell leads the group of what waits for the emulator.
    const shell = statOf(statOf(hanging.pid).parent).group
    expect(readFileSync(`/proc/${shell}/cmdline`, 'utf8')).toContain('eval')
    killGroup({ pid: shell, ended: hanging.ended })
    expect((await hanging.ended).text).toBe('an unknown status')
    killGroup(hanging)
    expect(await (await start(script('ok', 'exit 3'))).ended).toEqual({ text: 'exit status 3', signal: null })
  })
})

function statOf(pid: number): { readonly parent: number; readonly group: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [, parent = '', group = ''] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { parent: Number(parent), group: Number(group) }
}
