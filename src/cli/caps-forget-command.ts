import * as v from 'valibot'
import { controlProcedures } from '../protocol/control-procedures.ts'
import { CliError } from './cli-error.ts'
import { ControlClient } from './control-client.ts'
import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'

const optionsSchema = v.object({ all: v.optional(v.boolean(), false), reason: v.optional(v.string()) })

/** `chronovisor caps forget`: throws capability versions away by the operator's request. */
export async function capsForgetCommand(invocation: Invocation): Promise<number> {
  const { all, reason } = v.parse(optionsSchema, invocation.options)
  const { out, config, args } = invocation
  const binary = args[0] ?? null
  if ((binary === null) !== all) {
    throw new CliError(
      'Cannot forget capabilities: name one emulator, or give --all; `chronovisor caps list` shows them',
    )
  }
  using client = await ControlClient.open(config, reason === undefined ? {} : { reason })
  const { forgotten } = await client.call(controlProcedures.capsForget, { binary })
  if (out.isJson) out.document({ forgotten })
  else out.line(`${forgotten} capability ${forgotten === 1 ? 'version' : 'versions'} forgotten.`)
  return forgotten === 0 ? exitCode.nothing : exitCode.found
}
