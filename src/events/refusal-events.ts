import * as v from 'valibot'
import { fact } from './fact.ts'

/** Facts of commands that changed nothing; stream `refusals-<uid>`. */
export const refusalFacts = {
  CommandRefused: fact(1, {
    meaning:
      'A command was understood and refused: by which rule, in which words. Count > 1 stands for a flood of one actor.',
    data: v.object({
      procedure: v.string(),
      rule: v.string(),
      message: v.string(),
      subject: v.nullable(v.string()),
      count: v.number(),
    }),
  }),
}
