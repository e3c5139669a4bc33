import { closeSync, openSync } from 'node:fs'
import koffi from 'koffi'
import type { CpuCounter } from '../conf/host-document.ts'

// Questions and capability numbers of linux/kvm.h.
const createVm = 0xae01
const checkExtension = 0xae03
const createVcpu = 0xae41
const getTscKhz = 0xaea3
const tscControl = 60

// Bound while this module loads, at the daemon's start: node_modules may vanish while it runs.
const ioctl = koffi.load(null).func('int ioctl(int fd, unsigned long request, unsigned long argument)')

/** The time stamp counter as KVM gives it to guests, asked of a virtual CPU that never runs; null where there is no KVM for us or no such counter. */
export function readTsc(device = '/dev/kvm'): CpuCounter | null {
  const opened: number[] = []
  try {
    const kvm = openSync(device, 'r+')
    opened.push(kvm)
    const machine = ask(kvm, createVm)
    if (machine === null) return null
    opened.push(machine)
    const cpu = ask(machine, createVcpu)
    if (cpu === null) return null
    opened.push(cpu)
    const khz = ask(cpu, getTscKhz) ?? 0
    if (khz === 0) return null
    return {
      name: 'tsc',
      frequencyHz: BigInt(khz) * 1000n,
      isScalable: (ask(kvm, checkExtension, tscControl) ?? 0) > 0,
    }
  } catch {
    return null
  } finally {
    for (const descriptor of opened.toReversed()) closeSync(descriptor)
  }
}

function ask(descriptor: number, request: number, argument = 0): number | null {
  const answer: unknown = ioctl(descriptor, request, argument)
  return typeof answer === 'number' && answer >= 0 ? answer : null
}
