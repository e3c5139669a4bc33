import type { Difference, Identity } from './judge-invalidation.ts'

/** What `stat` says of an emulator's file. */
export interface EmulatorFile {
  readonly inode: bigint
  readonly sizeBytes: bigint
  readonly ctimeNs: bigint
}

/**
 * Contents of emulator files by what `stat` said of them, as far as anything recorded tells. A change of time alone is no
 * change of content (a chmod, a reinstallation): only the content decides.
 */
export class EmulatorContents {
  readonly #known = new Map<string, string>()

  /** A file whose content somebody hashed. */
  learn(binary: string, file: EmulatorFile & { readonly sha256: string }): void {
    this.#known.set(keyOf(binary, file), file.sha256)
  }

  /** The file that an invalidation describes, where it does. */
  learnText(binary: string, text: string): void {
    const match = /\binode (\d+) size (\d+) ctime (\d+) sha256 ([0-9a-f]{64})\b/.exec(text)
    if (match === null) return
    const [, inode = '0', size = '0', ctime = '0', sha256 = ''] = match
    this.learn(binary, { inode: BigInt(inode), sizeBytes: BigInt(size), ctimeNs: BigInt(ctime), sha256 })
  }

  find(binary: string, file: EmulatorFile): string | undefined {
    return this.#known.get(keyOf(binary, file))
  }

  /** How a file differs from the one that was probed; null where it is the same, or was only touched. */
  compare(
    binary: string,
    { identity, file }: { readonly identity: Identity; readonly file: EmulatorFile },
  ): { readonly kind: 'missing' | 'unproven'; readonly difference: Difference } | null {
    const same = (['inode', 'sizeBytes', 'ctimeNs'] as const).every((part) => identity[part] === file[part])
    if (same) return null
    const difference: Difference = { reason: 'emulator_changed', was: describe(identity), is: describe(file) }
    if (file.sizeBytes !== identity.sizeBytes) return { kind: 'missing', difference }
    const content = this.find(binary, file)
    if (content === undefined) return { kind: 'unproven', difference }
    return content === identity.sha256 ? null : { kind: 'missing', difference }
  }
}

function keyOf(binary: string, { inode, sizeBytes, ctimeNs }: EmulatorFile): string {
  return `${binary} ${inode} ${sizeBytes} ${ctimeNs}`
}

function describe({ inode, sizeBytes, ctimeNs }: EmulatorFile): string {
  return `inode ${inode} size ${sizeBytes} ctime ${ctimeNs}`
}
