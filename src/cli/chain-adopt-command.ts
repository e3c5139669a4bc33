import * as v from 'valibot'
import { controlProcedures } from '../protocol/control-procedures.ts'
import { ControlClient } from './control-client.ts'
import { exitCode } from './exit-code.ts'
import { findDomain } from './find-domain.ts'
import { openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'

const optionsSchema = v.object({ reason: v.optional(v.string()) })

/** `chronovisor chain adopt`: the operator's answer to a start that was refused because files had changed. */
export async function chainAdoptCommand(invocation: Invocation): Promise<number> {
  const { reason } = v.parse(optionsSchema, invocation.options)
  const { out, config, args } = invocation
  const [wanted = '', disk = ''] = args
  using client = await ControlClient.open(config, reason === undefined ? {} : { reason })
  await using history = await openHistory(config)
  const { uuid, name } = await findDomain(history, { wanted, position: (await history.head()).position })
  const { paths } = await client.call(controlProcedures.chainAdopt, { domain: { uuid, name, id: -1 }, disk })
  if (out.isJson) out.document({ domain: name, uuid, disk, chain: paths })
  else
    out.lines([
      `The chain of ${disk} of domain ${name} is now, active image first:`,
      ...paths.map((path) => `  ${path}`),
    ])
  return exitCode.found
}
