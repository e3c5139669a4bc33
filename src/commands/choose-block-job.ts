import type { BlockJobStart } from '../driver/driver.ts'
import type { Layer } from '../model/chain.ts'
import { Fault } from '../util/fault.ts'
import type { CommitRequest } from './commands.ts'
import { type chainOfDisk, findLayer } from './find-layer.ts'

/** The chain of a disk that is in use, active image first. */
export type Chain = ReturnType<typeof chainOfDisk>

/** Which layers a job works on. Base null = everything below top. */
export interface BlockJobChoice {
  readonly kind: BlockJobStart['kind']
  readonly top: Layer
  readonly base: Layer | null
  /** Files that QEMU will write to during or at the end of the job. */
  readonly written: readonly Layer[]
}

/** The pull of all that lies between the active image and `base` (as clients name it; null = of everything) into the active image. */
export function choosePull(chain: Chain, wantedBase: string | null): BlockJobChoice {
  const top = activeOf(chain)
  const base = wantedBase === null ? null : findLayer(chain, wantedBase)
  if (base === top)
    throw new Fault('invalid_arg', `Cannot pull disk "${chain.target}": base "${base.path}" is the active image itself`)
  return { kind: 'pull', top, base, written: [top] }
}

/** The commit that a request means: base defaults to the bottom, or to what top stands on; top to the active image. */
export function chooseCommit(chain: Chain, request: CommitRequest): BlockJobChoice {
  const active = activeOf(chain)
  const top = request.top === null ? active : findLayer(chain, request.top)
  const at = chain.layers.indexOf(top)
  const below = request.shallow ? chain.layers[at + 1] : chain.layers.at(-1)
  const base = request.base === null ? below : findLayer(chain, request.base)
  if (base === undefined || chain.layers.indexOf(base) <= at) {
    throw new Fault(
      'invalid_arg',
      `Cannot commit disk "${chain.target}": there is no image below top "${top.path}" to commit into`,
    )
  }
  if (top === active) {
    if (!request.active)
      throw new Fault(
        'invalid_arg',
        `Cannot commit disk "${chain.target}": its top is the active image, which needs the active flag`,
      )
    return { kind: 'active_commit', top, base, written: [base] }
  }
  if (request.active) throw new Fault('invalid_arg', `active commit requested but '${top.path}' is not active`)
  const overlay = chain.layers[at - 1]
  return { kind: 'commit', top, base, written: overlay === undefined ? [base] : [base, overlay] }
}

/** The image that the guest writes to. */
export function activeOf(chain: Chain): Layer {
  const [active] = chain.layers
  if (active === undefined)
    throw new Fault('operation_invalid', `Cannot start a block job: disk "${chain.target}" has no medium`)
  return active
}
