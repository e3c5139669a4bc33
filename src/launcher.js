#!/usr/bin/env node
// The command `chronovisor`. The machine's own Node may be as old as 18, so this file is plain JavaScript in that
// version's syntax: it finds the Node 24 that the package depends on and hands over to it.
// In a clone it runs src/cli/chronovisor.ts, or the bundle of it that `npm run setup` has made while no file of it was touched since; in an
// installed package the bundle that was packed.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import module, { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const WANTED_MAJOR = 24
const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)))

/** The bundle where it is what the source says, else the TypeScript of a clone (only clones have it) or the compiled file of the package. */
function entryFile() {
  const source = join(packageRoot, 'src', 'cli', 'chronovisor.ts')
  const isClone = existsSync(source)
  const bundled = bundledProgram(isClone)
  if (bundled !== null) return bundled
  if (isClone) return source
  const compiled = join(packageRoot, 'dist', 'src', 'cli', 'chronovisor.js')
  if (existsSync(compiled)) return compiled
  return fail(`neither ${source} nor ${compiled} exists; install the package again`)
}

/**
 * The bundle, null where there is none, or a file that it was made of was touched since: what was changed runs as it is now. A file's inode and
 * the time of its last change, which is the kernel's own, tell that even where a tool puts size and date back. A package is packed as a whole.
 */
function bundledProgram(isClone) {
  const directory = join(packageRoot, 'dist', 'program')
  try {
    const { program, madeOf } = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'))
    const isUntouched = ([file, ino, size, ctimeMs]) => {
      const stats = statSync(`${packageRoot}/${file}`)
      return stats.ctimeMs === ctimeMs && stats.ino === ino && stats.size === size
    }
    const entry = join(directory, program)
    return (!isClone || madeOf.every(isUntouched)) && existsSync(entry) ? entry : null
  } catch {
    // It is missing, or is no manifest, or one of its files is gone.
    return null
  }
}

/** Resolved like any dependency, so it is found in a clone and where an installer hoisted it. */
function ownNode() {
  const name = `node-${process.platform}-${process.arch}`
  try {
    const node = join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'bin', 'node')
    if (existsSync(node)) return node
  } catch {
    // told below, together with the case that the package is there and its program is not
  }
  return fail(
    `this Node is ${process.version}, ${WANTED_MAJOR} or newer is needed, and the package ${name} that brings it ` +
      'is not installed. Run npm install again on Linux x64 or arm64, with optional dependencies',
  )
}

/** Not the default below /tmp: there any user could put prepared code in the way of a daemon that runs as root. */
function compileCacheDirectory() {
  if (process.getuid && process.getuid() === 0) return '/var/cache/chronovisor/compile'
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'chronovisor', 'compile')
}

/**
 * Our own files name each other by relative paths with extensions: there is nothing to look for. Node would look at the file system for each
 * of some hundred files, which is a tenth of the daemon's start.
 */
function resolveOwnFiles(entry) {
  const own = pathToFileURL(`${dirname(dirname(entry))}/`).href
  const extension = extname(entry)
  const format = extension === '.ts' ? 'module-typescript' : 'module'
  module.registerHooks({
    resolve(specifier, context, next) {
      const isOwn = specifier.startsWith('.') && specifier.endsWith(extension) && context.parentURL?.startsWith(own)
      return isOwn
        ? { url: new URL(specifier, context.parentURL).href, format, shortCircuit: true }
        : next(specifier, context)
    },
  })
}

async function runHere() {
  if (!process.env.NODE_COMPILE_CACHE) module.enableCompileCache(compileCacheDirectory())
  const entry = entryFile()
  process.argv[1] = entry
  resolveOwnFiles(entry)
  await import(pathToFileURL(entry).href)
}

/** Runs the same command under our own Node and ends as it ended. */
function runUnder(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT']) {
    process.on(signal, () => {
      // Ctrl-C and Ctrl-\ reach every process of the terminal by themselves: forwarded they would count twice.
      const fromTerminal = process.stdin.isTTY && (signal === 'SIGINT' || signal === 'SIGQUIT')
      if (!fromTerminal) child.kill(signal)
    })
  }
  child.on('error', (error) => fail(`${node} does not run: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code === null ? 1 : code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

/** @returns {never} */
function fail(reason) {
  process.stderr.write(`Cannot start chronovisor: ${reason}\n`)
  process.exit(1)
}

if (Number(process.versions.node.split('.')[0]) >= WANTED_MAJOR) await runHere()
else runUnder(ownNode())
