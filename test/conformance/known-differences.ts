/** A difference that is right. All patterns given must match; an absent value is the empty text. */
export interface KnownDifference {
  /** Steps that it is about; all if not given. */
  readonly step?: RegExp
  readonly field: RegExp
  readonly ours?: RegExp
  readonly peer?: RegExp
  readonly reason: string
}

/** Every accepted difference to libvirtd 9.0, and why it is one. */
export const knownDifferences: readonly KnownDifference[] = []
