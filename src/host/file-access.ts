import type { ProcessUser } from '../driver/host-facts.ts'

/** What a user wants to do with a file; `write` includes reading, `traverse` is about a directory. */
export type FileUse = 'read' | 'write' | 'traverse'

/** The part of a stat that access is decided by. */
export interface FileMode {
  readonly mode: bigint
  readonly uid: bigint
  readonly gid: bigint
}

const neededBits: Readonly<Record<FileUse, bigint>> = { read: 0o4n, write: 0o6n, traverse: 0o1n }

/**
 * Whether the owner, group or other bits let a user without privileges and without supplementary groups do this. As in the kernel
 * the first class that fits decides: an owner without the right is refused even when others have it.
 */
export function allows(file: FileMode, user: ProcessUser, use: FileUse): boolean {
  if (user.uid === 0) return true
  const shift = file.uid === BigInt(user.uid) ? 6n : file.gid === BigInt(user.gid) ? 3n : 0n
  const needed = neededBits[use]
  return ((file.mode >> shift) & needed) === needed
}
