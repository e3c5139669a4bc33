import * as v from 'valibot'
import { fact, type FactsOf } from './fact.ts'

const claim = {
  kind: v.picklist(['name', 'image', 'port']),
  subject: v.string(),
  domain: v.string(),
}

/** Facts of rules across domains: one small stream per thing that only one may have (`name-…`, `image-…`, `port-…`). */
export const claimFacts = {
  ClaimTaken: fact(1, {
    meaning: 'A domain has the name, the port, or the image (to write alone, or to read with others).',
    data: v.object({ ...claim, mode: v.picklist(['exclusive', 'shared']) }),
  }),
  ClaimReleased: fact(1, { meaning: 'The domain no longer has it.', data: v.object(claim) }),
}

/** Union of {@link claimFacts}. */
export type ClaimEvent = FactsOf<typeof claimFacts>
