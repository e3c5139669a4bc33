import * as v from 'valibot'
import { documentSchema } from '../commands/caps-document.ts'

/** A stored capability document in a few lines. */
export function documentFields(stored: unknown): readonly (readonly [string, string])[] {
  const read = v.safeParse(v.omit(documentSchema, ['form']), stored)
  if (!read.success) return [['document', 'in a form that this program does not know']]
  const { virtTypes, machines, cpuModels, flags } = read.output
  const preferred = machines.find((machine) => machine.isDefault)?.name ?? 'none'
  const usable = cpuModels.filter((model) => model.usable).length
  return [
    ['runs', virtTypes.join(', ')],
    ['machines', `${machines.length}, default ${preferred}`],
    ['CPU models', `${cpuModels.length}, ${usable} usable here`],
    ['flags', `${flags.length}`],
  ]
}
