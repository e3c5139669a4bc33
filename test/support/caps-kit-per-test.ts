import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { CapsKit } from './caps-kit.ts'
import { ScratchPostgres } from './scratch-postgres.ts'

/** Gives each test of a block a kit on an empty log of its own, all on one server; hooks that follow find it there. */
export function capsKitPerTest(give: (kit: CapsKit) => void): void {
  let server: ScratchPostgres
  let kit: CapsKit
  beforeAll(async () => {
    server = await ScratchPostgres.start()
  }, 60_000)
  afterAll(() => server[Symbol.asyncDispose]())
  beforeEach(async () => {
    kit = await CapsKit.open(await server.createDatabase())
    give(kit)
  })
  afterEach(() => kit[Symbol.asyncDispose]())
}
