import { closeSync, openSync, readSync } from 'node:fs'
import type { CpuidRegisters } from '../conf/x86-processor.ts'

/** Answers of the first CPU to CPUID. */
export type AskCpuid = (leaf: number, subleaf: number) => CpuidRegisters

/**
 * Lets something be made of what the first CPU answers to CPUID; null where the kernel does not pass the question on (its module `cpuid` is not
 * loaded, this is not x86, or the caller is not root).
 */
export function withCpuid<Result>(make: (ask: AskCpuid) => Result, device = '/dev/cpu/0/cpuid'): Result | null {
  let descriptor: number | null = null
  try {
    const opened = openSync(device, 'r')
    descriptor = opened
    return make((leaf, subleaf) => {
      const answer = Buffer.alloc(16)
      // The device takes its question as the position: the leaf below, the subleaf above.
      const position = BigInt(leaf) | (BigInt(subleaf) << 32n)
      if (readSync(opened, answer, 0, answer.length, position) !== answer.length)
        throw new Error(`Cannot ask CPUID leaf ${leaf}: ${device} gave less than four registers`)
      const [eax, ebx, ecx, edx] = [0, 4, 8, 12].map((at) => answer.readUInt32LE(at))
      return { eax: eax ?? 0, ebx: ebx ?? 0, ecx: ecx ?? 0, edx: edx ?? 0 }
    })
  } catch {
    return null
  } finally {
    if (descriptor !== null) closeSync(descriptor)
  }
}
