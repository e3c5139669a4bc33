import type { CompletionPass } from './completion.ts'

/** UUID, and the amounts that follow from other amounts. */
export const completeIdentity: CompletionPass = (def, { fresh }) => {
  const wanted = def.currentMemory?.kib ?? def.memory.kib
  const { current, ...vcpu } = def.vcpu
  return {
    ...def,
    uuid: def.uuid ?? fresh.uuid,
    // More than the maximum cannot be given: the reference lowers it silently too.
    currentMemory: { ...def.currentMemory, kib: wanted > def.memory.kib ? def.memory.kib : wanted },
    vcpu: {
      ...vcpu,
      placement: vcpu.placement ?? 'static',
      ...(current === undefined || current === vcpu.count ? {} : { current }),
    },
  }
}
