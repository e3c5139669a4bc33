import * as v from 'valibot'
import { about, fact, type FactsOf } from './fact.ts'

const claim = {
  kind: about(v.picklist(['name', 'image', 'port']), 'what kind of thing'),
  subject: about(v.string(), 'which one: the name, the path of the image, or the number of the port'),
  domain: about(v.string(), 'UUID of the domain'),
}

/** Facts of rules across domains: one small stream per thing that only one may have (`name-…`, `image-…`, `port-…`). */
export const claimFacts = {
  ClaimTaken: fact(1, {
    meaning: 'A domain has the name, the port, or the image (to write alone, or to read with others).',
    data: v.object({
      ...claim,
      mode: about(v.picklist(['exclusive', 'shared']), 'whether alone, or with others who only read'),
    }),
  }),
  ClaimReleased: fact(1, { meaning: 'The domain no longer has it.', data: v.object(claim) }),
}

/** Union of {@link claimFacts}. */
export type ClaimEvent = FactsOf<typeof claimFacts>
