import type { ArgsOf, Procedure, Procedures, ResultOf } from '../protocol/procedure.ts'

/** Answers one procedure; a returned promise lets other calls of the connection go first. */
export type Handler<P, Context> = (context: Context, args: ArgsOf<P>) => ResultOf<P> | Promise<ResultOf<P>>

/** One handler for each row of a table. */
export type Handlers<Rows extends Procedures, Context> = { readonly [K in keyof Rows]: Handler<Rows[K], Context> }

/** A row and its handler, its types checked where it was bound. */
export interface BoundProcedure<Context> {
  readonly procedure: Procedure<unknown, unknown>
  handle(context: Context, args: unknown): unknown
}

/** Joins handlers with their rows; a row without a handler is not served. */
export function bindHandlers<Rows extends Procedures, Context>(
  rows: Rows,
  handlers: Handlers<Rows, Context>,
): readonly BoundProcedure<Context>[] {
  return Object.entries<unknown>(handlers).map(([name, handler]) => {
    const procedure = rows[name]
    if (procedure === undefined || typeof handler !== 'function')
      throw new Error(`Cannot serve ${name}: it is no procedure`)
    return {
      procedure,
      handle: (context: Context, args: unknown): unknown => Reflect.apply(handler, undefined, [context, args]),
    }
  })
}

/** Everything that is served, by the row of its procedure: numbers repeat from one program to the next. */
export class Dispatcher<Context> {
  readonly #byRow = new Map<Procedure<unknown, unknown>, BoundProcedure<Context>>()

  constructor(bound: readonly (readonly BoundProcedure<Context>[])[]) {
    for (const one of bound.flat()) {
      if (this.#byRow.has(one.procedure)) throw new Error(`Cannot serve ${one.procedure.name} twice`)
      this.#byRow.set(one.procedure, one)
    }
  }

  /** The handler of a procedure, undefined when nobody serves it. */
  find(procedure: Procedure<unknown, unknown>): BoundProcedure<Context> | undefined {
    return this.#byRow.get(procedure)
  }

  /** Names of the procedures served, in order of their numbers. */
  names(): readonly string[] {
    return [...this.#byRow.values()]
      .sort((a, b) => a.procedure.number - b.procedure.number)
      .map((one) => one.procedure.name)
  }
}
