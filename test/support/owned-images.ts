import type { Images, OwnershipChange } from '../../src/driver/images.ts'
import { TestImages } from '../../src/testdriver/test-images.ts'
import type { TestWorld } from '../../src/testdriver/test-world.ts'

/** Images of a world that belong to root until they are given to the hypervisor's user, and go back afterwards. */
export function ownedImages(world: TestWorld): Images {
  const owned = new Set<string>()
  const change = (path: string): OwnershipChange => ({
    ...{ path, fromUid: 0, fromGid: 0, fromMode: 0o600 },
    ...{ toUid: 64_055, toGid: 36 },
  })
  return Object.assign(new TestImages(world), {
    planAccess: async (wanted: readonly { readonly path: string; readonly write: boolean }[]) =>
      wanted.filter(({ path, write }) => write && !owned.has(path)).map(({ path }) => change(path)),
    grant: async (changes: readonly OwnershipChange[]) => {
      for (const { path } of changes) owned.add(path)
    },
    restore: async (changes: readonly OwnershipChange[]) => {
      for (const { path } of changes) owned.delete(path)
    },
  })
}
