import * as v from 'valibot'
import { about, fact, int64 } from './fact.ts'

const procedure = about(v.string(), 'what was asked for, by its name in the procedure table, such as DOMAIN_CREATE')
const rule = about(v.string(), 'the kind of fault that refused it, such as operation_invalid')

/** Facts of commands that changed nothing; stream `refusals-<uid>`. */
export const refusalFacts = {
  CommandRefused: fact(1, {
    meaning: 'A command was understood and refused: by which rule, in which words.',
    data: v.object({
      procedure,
      rule,
      message: about(v.string(), 'what the client was told; cut where it is very long'),
      subject: about(
        v.nullable(v.string()),
        'what it was about, such as the UUID of a domain; null = nothing that exists',
      ),
      count: about(v.number(), 'how many refusals this stands for: 1, or more in logs before RefusalsCounted'),
    }),
  }),
  RefusalsCounted: fact(1, {
    meaning:
      'A user was refused more than is recorded one by one: how often in a window of time, by program, procedure and rule.',
    data: v.object({
      uid: about(v.nullable(v.number()), 'whose commands; null = users beyond those that are told apart'),
      sinceUs: about(int64, 'when the first of them was refused'),
      untilUs: about(int64, 'when the last of them was refused'),
      count: about(v.number(), 'how many were refused; none of them is recorded elsewhere'),
      counts: about(
        v.array(
          v.object({
            program: about(v.string(), 'who asked: path of the executable, or its short name'),
            procedure,
            rule,
            count: about(v.number(), 'how many of them'),
          }),
        ),
        'the same by program, procedure and rule, the most frequent first',
      ),
      otherCount: about(v.number(), 'those of the sum that no row was left for'),
      lastMessage: about(v.string(), 'what the last one was told; cut where it is long'),
    }),
  }),
}
