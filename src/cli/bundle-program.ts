import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import * as v from 'valibot'
import { packageRoot } from '../eventstore/package-files.ts'

/** A file of the source, from the package's directory on, with what the launcher compares: see `bundledProgram` there. */
const sourceShape = v.tuple([v.string(), v.number(), v.number(), v.number()])
/** What the launcher reads: the file to run, and the files that it was made of. */
const manifestShape = v.object({ program: v.string(), madeOf: v.array(sourceShape) })

type Manifest = v.InferOutput<typeof manifestShape>
type Source = v.InferOutput<typeof sourceShape>

interface Chunk {
  readonly name: string
  readonly code: string
}

const entry = 'src/cli/chronovisor.ts'
const manifestName = 'manifest.json'
const maxTries = 3
/** The kernel's clock for files is behind by up to a tick, of 10 ms at most. */
const fileClockMs = 20

/**
 * Puts the program's some hundred files together into few below `dist/program`, which load in a third of the time. Only the launcher's
 * choice changes by it: it runs what is made here while none of the files has been touched since, else the files themselves.
 * Returns a sentence on what was done: without the bundler (no development dependencies) or without source (an installed package) that is
 * nothing. Throws where the bundler fails.
 */
export async function bundleProgram(root: string = fileURLToPath(packageRoot())): Promise<string> {
  if (!existsSync(join(root, entry))) return 'The program is as it was packed.'
  const directory = join(root, 'dist', 'program')
  const before = readManifest(directory)
  if (
    before !== null &&
    isDeepStrictEqual(
      before.madeOf,
      sourcesOf(
        root,
        before.madeOf.map(([file]) => file),
      ),
    )
  )
    return 'The program is bundled already.'
  const bundler = await loadBundler()
  if (bundler === null) return 'The program is not bundled (no development dependencies): it runs from its source.'
  for (let tries = 1; tries <= maxTries; tries += 1) {
    const startedMs = Date.now()
    const { chunks, files } = await bundle(root, bundler)
    const madeOf = sourcesOf(root, files)
    if (madeOf.every(([, , , changedMs]) => changedMs < startedMs - fileClockMs)) {
      replace(directory, { chunks, madeOf, before })
      return `The program is bundled: ${files.length} files in ${chunks.length}.`
    }
    await sleep(2 * fileClockMs)
  }
  return 'The program is not bundled: its files keep changing. It runs from its source.'
}

async function loadBundler() {
  try {
    return await import('rolldown')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return null
    throw error
  }
}

/** Dependencies stay where they are; names stay as they are, since errors and logs tell them. */
async function bundle(
  root: string,
  { rolldown }: NonNullable<Awaited<ReturnType<typeof loadBundler>>>,
): Promise<{ readonly chunks: readonly Chunk[]; readonly files: readonly string[] }> {
  const external = (id: string): boolean => !/^[./]/.test(id)
  const bundled = await rolldown({
    ...{ input: join(root, entry), cwd: root, platform: 'node', tsconfig: false, external, logLevel: 'silent' },
  })
  try {
    const { output } = await bundled.generate({ format: 'esm', minify: false, keepNames: true })
    const chunks = output.flatMap((each) => (each.type === 'chunk' ? [each] : []))
    const files = chunks.flatMap(({ moduleIds }) => moduleIds).filter((id) => id.startsWith('/'))
    return {
      chunks: chunks.map(({ fileName: name, code }) => ({ name, code })),
      files: files.map((file) => relative(root, file)).sort(),
    }
  } finally {
    await bundled.close()
  }
}

/** A directory for each content. The one before stays: a program that runs from it may have more to load. */
function replace(
  directory: string,
  made: {
    readonly chunks: readonly Chunk[]
    readonly madeOf: Manifest['madeOf']
    readonly before: Manifest | null
  },
): void {
  const hash = createHash('sha256')
  for (const { name, code } of made.chunks) hash.update(`${name}\n${code}\n`)
  const name = hash.digest('hex').slice(0, 16)
  if (!existsSync(join(directory, name))) {
    const unfinished = join(directory, `${name}.${process.pid}`)
    mkdirSync(unfinished, { recursive: true })
    for (const chunk of made.chunks) writeFileSync(join(unfinished, chunk.name), chunk.code)
    renameSync(unfinished, join(directory, name))
  }
  const manifest: Manifest = { program: `${name}/chronovisor.js`, madeOf: made.madeOf }
  const unfinished = join(directory, `${manifestName}.${process.pid}`)
  writeFileSync(unfinished, JSON.stringify(manifest))
  renameSync(unfinished, join(directory, manifestName))
  const kept = [name, made.before?.program.split('/')[0], manifestName]
  for (const old of readdirSync(directory)) if (!kept.includes(old)) rmSync(join(directory, old), { recursive: true })
}

function readManifest(directory: string): Manifest | null {
  try {
    return v.parse(manifestShape, JSON.parse(readFileSync(join(directory, manifestName), 'utf8')))
  } catch {
    return null
  }
}

function sourcesOf(root: string, files: readonly string[]): Source[] {
  return files.map((file) => {
    const stats = statSync(join(root, file), { throwIfNoEntry: false })
    return [file, stats?.ino ?? 0, stats?.size ?? 0, stats?.ctimeMs ?? Number.MAX_VALUE]
  })
}

if (import.meta.main) process.stdout.write(`${await bundleProgram()}\n`)
