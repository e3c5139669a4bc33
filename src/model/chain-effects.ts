/** What a block job does to a chain, by index of layer (storage.md section 2). Base -1 stands for no base: the chain ends below top. */
export interface ChainEffect {
  readonly kind: 'pull' | 'commit' | 'active_commit'
  readonly base: number
  readonly top: number
}

/** Indexes of the layers that are in the chain after the job ended well, active image first. */
export function chainAfter(chain: readonly number[], effect: ChainEffect): readonly number[] {
  const base = chain.indexOf(effect.base)
  const top = chain.indexOf(effect.top)
  switch (effect.kind) {
    case 'pull':
      return [...chain.slice(0, top + 1), ...(base === -1 ? [] : chain.slice(base))]
    case 'commit':
      return [...chain.slice(0, top), ...chain.slice(base)]
    case 'active_commit':
      return chain.slice(base)
  }
}

/** Indexes of the layers whose contents are no longer valid after the job was given up: all from top down to above base. */
export function invalidAfterCancel(chain: readonly number[], effect: ChainEffect): readonly number[] {
  if (effect.kind === 'pull') return []
  return chain.slice(chain.indexOf(effect.top) + 1, chain.indexOf(effect.base))
}
