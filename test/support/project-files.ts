import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout, with a slash at its end. */
export const projectRoot = fileURLToPath(new URL('../..', import.meta.url))

const NOT_OURS = ['node_modules', 'dist', 'coverage', '.git']

/** Every file that is or would be committed, relative to the checkout; without git, every file that is not installed or built. */
export function projectFiles(): readonly string[] {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z']
  const { status, stdout } = spawnSync('git', args, { cwd: projectRoot, encoding: 'utf8', maxBuffer: 64 << 20 })
  const files = status === 0 ? stdout.split('\0').filter((name) => name !== '') : walk('')
  return files.filter((file) => existsSync(join(projectRoot, file)) && statSync(join(projectRoot, file)).isFile())
}

/** The text of a file of the project. */
export function readProjectFile(file: string): string {
  return readFileSync(join(projectRoot, file), 'utf8')
}

function walk(directory: string): string[] {
  return readdirSync(join(projectRoot, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name)
    if (NOT_OURS.includes(entry.name)) return []
    return entry.isDirectory() ? walk(path) : [path]
  })
}
