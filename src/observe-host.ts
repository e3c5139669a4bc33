import type { Host } from './commands/host.ts'
import { daemonContext } from './commands/daemon-caller.ts'
import { record } from './commands/record.ts'
import type { Hypervisor } from './compose-driver.ts'
import { newFact } from './events/catalogue.ts'
import { nodeStream } from './events/stream-names.ts'
import { describeCpu } from './qemu/emulator-identities.ts'

/**
 * Records what the host and the files of the known emulators look like now. An audit compares it with what the cached
 * versions say, so it must not go through the code that decides whether they are valid.
 */
export async function observeHost(host: Host, { machine, driver }: Hypervisor): Promise<void> {
  const emulators = await Promise.all(
    host.reads.emulators().map(async (row) => {
      const file = await host.images.stat(row.binary_path)
      return file === null
        ? []
        : [{ binary: row.binary_path, inode: file.inode, sizeBytes: file.sizeBytes, ctimeNs: file.ctimeNs }]
    }),
  )
  const observed = newFact('HostFactsObserved', {
    kernel: machine.kernel(),
    microcode: machine.microcode(),
    hostCpu: describeCpu(machine.cpu()),
    nestedKvm: machine.nestedKvm(),
    kvmUsable: machine.kvmUsable(),
    daemonBuild: driver.build,
    cpuid: machine.cpuid(),
    secureGuest: machine.secureGuest(),
    firmware: machine.firmware(),
    emulators: emulators.flat(),
  })
  await record(host, daemonContext('OBSERVE'), {
    kind: 'fact',
    decide: () => [{ stream: nodeStream(host.hostId), facts: [observed] }],
  })
}
