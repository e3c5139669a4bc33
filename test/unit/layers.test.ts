import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** The layer table: what each folder may import besides itself. The linter's copy is .oxlintrc.json, the reader's is in the README. */
const layers: Readonly<Record<string, readonly string[]>> = {
  util: [],
  xdr: ['util'],
  xml: ['util'],
  events: ['util'],
  conf: ['util', 'xml'],
  model: ['util', 'conf', 'events'],
  eventstore: ['util', 'events'],
  readmodel: ['util', 'events', 'eventstore'],
  driver: ['util', 'conf'],
  image: ['util'],
  protocol: ['util', 'xdr'],
  host: ['util', 'conf', 'driver', 'image'],
  qemu: ['util', 'conf', 'driver', 'image'],
  testdriver: ['util', 'conf', 'driver', 'image'],
  projections: ['util', 'conf', 'events', 'model', 'readmodel'],
  commands: ['util', 'conf', 'events', 'model', 'eventstore', 'readmodel', 'projections', 'driver'],
  reactors: ['util', 'conf', 'events', 'eventstore', 'readmodel', 'projections', 'commands', 'driver'],
  sampling: ['util', 'conf', 'driver'],
  rpc: ['util', 'xdr', 'protocol', 'conf', 'events', 'commands', 'readmodel', 'projections', 'driver'],
  grpc: ['util', 'events', 'eventstore'],
  metrics: ['util', 'eventstore', 'readmodel'],
}
const free = ['cli']
const pure = ['util', 'xdr', 'protocol', 'xml', 'conf', 'events', 'model', 'image']
const impureModules = [
  'pg',
  'kysely',
  'node:fs',
  'node:fs/promises',
  'fs',
  'node:net',
  'node:child_process',
  'child_process',
]

/** Ways to write an import of src/conf from src/xdr, which the table forbids. */
const forbiddenSpellings = [
  `import { x } from '../conf/x.ts'`,
  `import type { x } from '../conf/x.ts'`,
  `export { x } from '../conf/x.ts'`,
  `export * from '../conf/x.ts'`,
  `import '../conf/x.ts'`,
  `await import('../conf/x.ts')`,
  `type T = import('../conf/x.ts').T`,
  `import x = require('../conf/x.ts')`,
  `require('../conf/x.ts')`,
  `import { x } from './../conf/x.ts'`,
  `import { x } from './../../src/conf/x.ts'`,
  `import { x } from '../util/../conf/x.ts'`,
  `import { x } from '../util//../conf/x.ts'`,
  `import { x } from '../util/%2e%2e/conf/x.ts'`,
  `import { x } from './sub/../../conf/x.ts'`,
  `import { x } from '../main.ts'`,
  `import { x } from '../../test/support/x.ts'`,
  `import { x } from '..'`,
  `import { x } from '#projections/x.ts'`,
  `import { x } from '#migrations/x.ts'`,
  `import { x } from '/src/conf/x.ts'`,
  `import { x } from 'file:///src/conf/x.ts'`,
]

const projectRoot = fileURLToPath(new URL('../..', import.meta.url))
const sandbox = mkdtempSync(join(tmpdir(), 'chronovisor-layers-'))
const refusedFiles = new Set<string>()
const lintReport = v.object({
  diagnostics: v.array(v.object({ filename: v.string(), code: v.optional(v.string()) })),
})
const rules = ['no-restricted-imports', 'no-require-imports', 'consistent-type-imports']

const folderOf = (layer: string): string => (layer === 'projections' ? 'projections' : `src/${layer}`)
const pathBetween = (from: string, to: string): string => {
  if (from === 'projections') return `../src/${to}/x.ts`
  return to === 'projections' ? '../../projections/x.ts' : `../${to}/x.ts`
}
const pairFile = (from: string, to: string): string => `${folderOf(from)}/to-${to}.ts`
const spellingFile = (index: number): string => `src/xdr/spelling-${index}.ts`
const impureFile = (layer: string, index: number): string => `${folderOf(layer)}/impure-${index}.ts`

function write(file: string, source: string): void {
  mkdirSync(join(sandbox, dirname(file)), { recursive: true })
  writeFileSync(join(sandbox, file), `${source}\n`)
}

/** One run of the linter over one tree with every question in it: a run per question would take minutes. */
function lintSandbox(): void {
  const run = spawnSync(join(projectRoot, 'node_modules/.bin/oxlint'), ['--format', 'json', 'src', 'projections'], {
    cwd: sandbox,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  for (const { filename, code } of v.parse(lintReport, JSON.parse(run.stdout)).diagnostics) {
    if (rules.some((rule) => code?.includes(rule))) refusedFiles.add(filename)
  }
}

beforeAll(() => {
  const config = readFileSync(join(projectRoot, '.oxlintrc.json'), 'utf8')
  write('.oxlintrc.json', config.replace('"typeAware": true', '"typeAware": false'))
  symlinkSync(join(projectRoot, 'node_modules'), join(sandbox, 'node_modules'))
  for (const from of Object.keys(layers)) {
    write(`${folderOf(from)}/own.ts`, `import { x } from './x.ts'\nexport const y = x`)
    for (const to of [...Object.keys(layers), ...free]) {
      if (from !== to) write(pairFile(from, to), `import { x } from '${pathBetween(from, to)}'\nexport const y = x`)
    }
    impureModules.forEach((name, index) => write(impureFile(from, index), `import '${name}'`))
  }
  forbiddenSpellings.forEach((source, index) => write(spellingFile(index), source))
  write('src/unknown/x.ts', `import { x } from '../util/x.ts'\nexport const y = x`)
  write('src/util/sub/x.ts', `import { x } from '../x.ts'\nexport const y = x`)
  write('src/cli/any.ts', `import { x } from '../rpc/x.ts'\nexport const y = x`)
  write('src/main.ts', `import { x } from './rpc/x.ts'\nexport const y = x`)
  write('src/config.ts', `import { x } from './rpc/x.ts'\nexport const y = x`)
  lintSandbox()
})
afterAll(() => rmSync(sandbox, { recursive: true, force: true }))

describe('the layer table', () => {
  test('lets each folder import exactly what its row names', () => {
    for (const [from, allowed] of Object.entries(layers)) {
      const others = [...Object.keys(layers), ...free].filter((to) => to !== from)
      const passed = others.filter((to) => !refusedFiles.has(pairFile(from, to)))
      expect(passed.toSorted(), `imports that pass from ${from}`).toEqual(allowed.toSorted())
      expect(refusedFiles.has(`${folderOf(from)}/own.ts`), `${from} imports its own files`).toBe(false)
    }
  })

  test.each(forbiddenSpellings.map((source, index) => ({ source, index })))('refuses in src/xdr: $source', (row) => {
    expect(refusedFiles.has(spellingFile(row.index))).toBe(true)
  })

  test('keeps files, sockets, processes and the database out of the pure folders, and only out of them', () => {
    for (const layer of Object.keys(layers)) {
      const refused = impureModules.filter((_, index) => refusedFiles.has(impureFile(layer, index)))
      expect(refused, `modules refused in ${layer}`).toEqual(pure.includes(layer) ? impureModules : [])
    }
  })

  test('denies a folder without a row everything, and nested folders too', () => {
    expect(refusedFiles.has('src/unknown/x.ts')).toBe(true)
    expect(refusedFiles.has('src/util/sub/x.ts')).toBe(true)
  })

  test('leaves main.ts and cli free, config.ts not', () => {
    expect(refusedFiles.has('src/main.ts')).toBe(false)
    expect(refusedFiles.has('src/cli/any.ts')).toBe(false)
    expect(refusedFiles.has('src/config.ts')).toBe(true)
  })

  test('has a row for every folder of src', () => {
    const folders = readdirSync(join(projectRoot, 'src'), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    )
    const unknown = folders.map((entry) => entry.name).filter((name) => !(name in layers) && !free.includes(name))
    expect(folders.length).toBeGreaterThan(0)
    expect(unknown).toEqual([])
  })
})
