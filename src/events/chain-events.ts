import * as v from 'valibot'
import { fact, type FactsOf } from './fact.ts'
import { layer, layerFile } from './shared-data.ts'

/** Facts of the backing chains of a domain's disks; stream `domain-<uuid>`. */
export const chainFacts = {
  BackingChainDetected: fact(1, {
    meaning: "A disk's chain was read from the image headers, active image first.",
    data: v.object({ disk: v.string(), layers: v.array(layer) }),
  }),
  BackingChainVerified: fact(1, {
    meaning: 'Files had changed, their headers were read again, and the chain is the same.',
    data: v.object({ disk: v.string(), files: v.array(layerFile) }),
  }),
  BackingChainAdopted: fact(1, {
    meaning: 'The operator declared the chain found on disk to be the right one.',
    data: v.object({ disk: v.string(), layers: v.array(layer) }),
  }),
  BackingChainForgotten: fact(1, {
    meaning: 'The disk left the definition, or names another image: its chain is unknown until it is detected again.',
    data: v.object({ disk: v.string() }),
  }),
  DriftDetected: fact(1, {
    meaning: 'The world differs from the log: both chains and the layer at which they part.',
    data: v.object({
      disk: v.string(),
      layer: v.string(),
      why: v.string(),
      recorded: v.array(v.string()),
      found: v.array(v.string()),
    }),
  }),
}

/** Union of {@link chainFacts}. */
export type ChainEvent = FactsOf<typeof chainFacts>
