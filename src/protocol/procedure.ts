import type { Codec } from '../xdr/xdr-codec.ts'

/**
 * What a procedure takes of its domain (architecture: fact 5). A query only reads the live view; a modify is exclusive per
 * domain; a shared one touches neither the running machine nor its definition.
 */
export type ProcedureClass = 'query' | 'modify' | 'shared'

/** One row of the procedure table: number, name, layouts and rules; no handler, so both ends can use it. */
export interface Procedure<Args, Result> {
  readonly number: number
  readonly name: string
  readonly args: Codec<Args>
  readonly result: Codec<Result>
  /** Whether a read-only connection may call it. */
  readonly readOnly: boolean
  /** Whether it may be called before CONNECT_OPEN. */
  readonly beforeOpen: boolean
  classOf(args: Args): ProcedureClass
}

/** Rows by the name a handler has. */
export type Procedures = Readonly<Record<string, Procedure<unknown, unknown>>>

/** What a caller passes. */
export type ArgsOf<P> = P extends Procedure<infer Args, infer _Result> ? Args : never
/** What a handler returns. */
export type ResultOf<P> = P extends Procedure<infer _Args, infer Result> ? Result : never

/** The rules of a procedure besides its layout. */
export interface ProcedureRules<Args> {
  readonly class: ProcedureClass | ((args: Args) => ProcedureClass)
  /** Default: exactly the queries. */
  readonly readOnly?: boolean
  readonly beforeOpen?: boolean
}

/** Declares one row; its types are inferred from the two codecs. */
export function procedure<Args, Result>(
  number: number,
  name: string,
  ...[args, result, rules]: [args: Codec<Args>, result: Codec<Result>, rules: ProcedureRules<Args>]
): Procedure<Args, Result> {
  const rule = rules.class
  return {
    number,
    name,
    args,
    result,
    readOnly: rules.readOnly ?? rule === 'query',
    beforeOpen: rules.beforeOpen ?? false,
    classOf: typeof rule === 'function' ? rule : () => rule,
  }
}
