import * as v from 'valibot'
import { about, fact, type FactsOf } from './fact.ts'
import { layer, layerFile } from './shared-data.ts'

const disk = about(v.string(), 'target of the disk, such as vda')
const layers = about(v.array(layer), 'its layers, active image first')
const path = about(v.string(), 'path of an image')

/** Facts of the backing chains of a domain's disks; stream `domain-<uuid>`. */
export const chainFacts = {
  BackingChainDetected: fact(1, {
    meaning: "A disk's chain was read from the image headers, active image first.",
    data: v.object({ disk, layers }),
  }),
  BackingChainVerified: fact(1, {
    meaning: 'Files had changed, their headers were read again, and the chain is the same.',
    data: v.object({ disk, files: about(v.array(layerFile), 'the files as they are now, active image first') }),
  }),
  BackingChainAdopted: fact(1, {
    meaning: 'The operator declared the chain found on disk to be the right one.',
    data: v.object({ disk, layers }),
  }),
  BackingChainForgotten: fact(1, {
    meaning: 'The disk left the definition, or names another image: its chain is unknown until it is detected again.',
    data: v.object({ disk }),
  }),
  DriftDetected: fact(1, {
    meaning: 'The world differs from the log: both chains and the layer at which they part.',
    data: v.object({
      disk,
      layer: about(v.string(), 'path of the image at which record and world part'),
      why: about(v.string(), 'what is different there'),
      recorded: about(v.array(path), 'the chain that the log knows, active image first'),
      found: about(v.array(path), 'the chain that the image headers name; empty where they were not read'),
    }),
  }),
}

/** Union of {@link chainFacts}. */
export type ChainEvent = FactsOf<typeof chainFacts>
