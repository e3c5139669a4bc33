import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as v from 'valibot'
import type { HostFiles } from '../../src/host/host-files.ts'
import type { Corpora, CorpusCase } from './corpora-cases.ts'

const treeSchema = v.record(v.string(), v.union([v.string(), v.object({ link: v.string() })]))

type Tree = v.InferOutput<typeof treeSchema>

/** What a recorded tree calls the directories of /sys. */
const roots = [
  { recorded: 'system', path: '/sys/devices/system' },
  { recorded: 'resctrl', path: '/sys/fs/resctrl' },
] as const

/** The files of a recorded machine; links are followed, also into the recording of another one. */
export function readHostTree(
  corpora: Corpora,
  { of, path }: { readonly of: CorpusCase; readonly path: string },
): HostFiles {
  const machine = posix.basename(path, '.tree.json')
  const load = treeLoader(corpora, { corpus: of.corpus, machine, text: corpora.readText(of, path) })
  const resolved = (given: string): { readonly tree: Tree; readonly path: string } | null => {
    const root = roots.find((each) => given === each.path || given.startsWith(`${each.path}/`))
    if (root === undefined) return null
    return follow(load, posix.join(machine, root.recorded, given.slice(root.path.length)))
  }
  return {
    read: (given) => {
      const found = resolved(given)
      const content = found === null ? undefined : found.tree[found.path]
      return typeof content === 'string' ? content : null
    },
    list: (given) => {
      const found = resolved(given)
      if (found === null) return []
      const below = Object.keys(found.tree).filter((name) => name.startsWith(`${found.path}/`))
      return [...new Set(below.map((name) => name.slice(found.path.length + 1).split('/')[0] ?? ''))]
    },
  }
}

type Load = (machine: string) => Tree

function treeLoader(
  corpora: Corpora,
  { corpus, machine, text }: { readonly corpus: string; readonly machine: string; readonly text: string },
): Load {
  const known = new Map<string, Tree>([[machine, v.parse(treeSchema, JSON.parse(text))]])
  return (name) => {
    const before = known.get(name)
    if (before !== undefined) return before
    const tree = v.parse(treeSchema, JSON.parse(readFileSync(otherTree(corpora, { corpus, name }), 'utf8')))
    known.set(name, tree)
    return tree
  }
}

/** Another machine's recording: of the corpora, in whichever split, or of our own where the corpora leave it out. */
function otherTree(corpora: Corpora, { corpus, name }: { readonly corpus: string; readonly name: string }): string {
  const splits = [...new Set(corpora.cases.filter((each) => each.corpus === corpus).map(({ split }) => split))]
  const places = [
    ...splits.map((split) => join(corpora.directory, corpus, split, 'hostcaps', `${name}.tree.json`)),
    join(dirname(fileURLToPath(import.meta.url)), '../../fixtures/host-trees', `${name}.tree.json`),
  ]
  const found = places.find((path) => existsSync(path))
  if (found === undefined) throw new Error(`Cannot read the recorded machine "${name}": no split has its tree`)
  return found
}

/** Follows links in a path `machine/…`, each relative to where it stands. */
function follow(load: Load, path: string): { readonly tree: Tree; readonly path: string } | null {
  let left = 40 // as the kernel limits it
  let current = path
  for (;;) {
    const [machine = '', ...names] = current.split('/').filter((name) => name !== '')
    const tree = load(machine)
    const at = names.findIndex((_, index) => typeof tree[names.slice(0, index + 1).join('/')] === 'object')
    const entry = at === -1 ? undefined : tree[names.slice(0, at + 1).join('/')]
    if (typeof entry !== 'object') return { tree, path: names.join('/') }
    left -= 1
    if (left === 0) return null
    current = posix.join(machine, ...names.slice(0, at), entry.link, ...names.slice(at + 1))
  }
}
