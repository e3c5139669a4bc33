import { array, struct, union } from '../xdr/xdr-composites.ts'
import { double, i32, i64, u32, u64, type ValueOf } from '../xdr/xdr-codec.ts'
import { string } from './wire-types.ts'

/** A named value that carries its own type; how the interface grows without new structs. */
export const typedParameter = struct({
  field: string,
  value: union({
    int: [1, i32],
    uint: [2, u32],
    llong: [3, i64],
    ullong: [4, u64],
    double: [5, double],
    boolean: [6, i32],
    string: [7, string],
  }),
})
/** One named value; `value.kind` says its wire type. */
export type TypedParameter = ValueOf<typeof typedParameter>

/** A list of at most `max` typed parameters. */
export function typedParameters(max: number) {
  return array(typedParameter, max)
}
