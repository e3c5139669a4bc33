import { RpcCallError } from './rpc-client.ts'

/** Code, domain and message of the error that a call ends in. */
export async function errorOf(pending: Promise<unknown>): Promise<readonly [number, number, string | null]> {
  const error = await pending.then(
    () => new Error('the call succeeded'),
    (reason: unknown) => reason,
  )
  if (!(error instanceof RpcCallError)) throw error
  return [error.error.code, error.error.domain, error.error.message]
}

/** Waits until something holds; throws when it does not in time. */
export async function until(holds: () => boolean, limitMs = 3000): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('it did not come to hold in time')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Something to wait for until the test opens it. */
export function gate(): { readonly open: () => void; readonly passed: Promise<void> } {
  let open = (): void => {}
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, passed }
}
