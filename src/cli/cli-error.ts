/** A mistake of the caller or an absent thing, told in one sentence without a stack; ends the program with code 2. */
export class CliError extends Error {
  override readonly name: string = 'CliError'
}
