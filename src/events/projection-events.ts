import * as v from 'valibot'
import { about, fact, int64 } from './fact.ts'

const refused = {
  projection: about(v.string(), 'name of the projection'),
  version: about(v.number(), 'version of its handlers and SQL that refused the event'),
  stream: about(v.string(), 'the stream that the projection did not follow any more'),
  position: about(int64, 'position of the event that it could not take'),
  error: about(v.string(), 'what was wrong with it'),
}

/** Facts of the read models; stream `projection-<name>`. From here on a projection follows a stream again, at this event's own moment. */
export const projectionFacts = {
  ProjectionStreamRetried: fact(1, {
    meaning: 'An operator had a projection try again to follow a stream, from the event on that it could not take.',
    data: v.object(refused),
  }),
  ProjectionEventSkipped: fact(1, {
    meaning:
      'An operator had a projection leave out an event that it could not take, and follow the stream from the next.',
    data: v.object(refused),
  }),
  ProjectionRebuilt: fact(1, {
    meaning: 'The tables of a projection were built anew from the log and have taken the place of those before.',
    data: v.object({
      projection: about(v.string(), 'name of the projection'),
      version: about(v.number(), 'version of the handlers and the SQL that built them'),
      position: about(int64, 'position of the last event in the new tables when they were put in place'),
      lockedMs: about(v.number(), 'how long queries of the tables had to wait'),
    }),
  }),
}
