import * as v from 'valibot'
import { controlProcedures } from '../protocol/control-procedures.ts'
import { CliError } from './cli-error.ts'
import { ControlClient } from './control-client.ts'
import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'

const optionsSchema = v.object({ reason: v.optional(v.string()) })

/** `chronovisor erase`: takes the data of an event away for good; its hash stays, so that every proof holds. */
export async function eraseCommand(invocation: Invocation): Promise<number> {
  const { out, config, args } = invocation
  const { reason } = v.parse(optionsSchema, invocation.options)
  const match = /^@?(\d{1,18})$/.exec(args[0] ?? '')
  if (match?.[1] === undefined)
    throw new CliError(`Cannot erase "${args[0] ?? ''}": name an event by its position, such as @182733`)
  if (reason === undefined) throw new CliError('Give a --reason: what is erased is gone, the reason stays in the log')
  const position = BigInt(match[1])
  using client = await ControlClient.open(config, { reason })
  const erased = await client.call(controlProcedures.payloadErase, { position, reason })
  if (out.isJson) {
    const { position: recordedAt, ...rest } = erased
    out.document({ erased: position, recordedAt, ...rest })
  } else {
    const texts = erased.texts === 0 ? '' : ` and ${erased.texts} big ${erased.texts === 1 ? 'text' : 'texts'}`
    out.line(
      `The data of ${erased.type} @${position} on ${erased.stream}${texts} is gone; @${erased.position} says so.`,
    )
  }
  return exitCode.found
}
