import * as v from 'valibot'
import { about, fact, int64, sha256Text } from './fact.ts'

/** Facts of the log itself, beside those of the daemon; stream `node-<host uuid>`. */
export const erasureFacts = {
  PayloadErased: fact(1, {
    meaning:
      'The data of an event was taken away for good, with the big texts that no other event names. Its hash stays, so that every proof holds.',
    data: v.object({
      position: about(int64, 'position of the event that has no data any more'),
      stream: about(v.string(), 'its stream'),
      type: about(v.string(), 'its type'),
      dataSha256: about(sha256Text, 'SHA-256 of the data that it had'),
      texts: about(
        v.array(sha256Text),
        'the big texts that it named and that went with it, unless a later event names them',
      ),
      searchedTo: about(int64, 'position of the last event that was searched for those names'),
      reason: about(v.string(), 'why'),
    }),
  }),
}
