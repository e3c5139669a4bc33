/** What is compared by `stat` alone to tell that nobody touched a file since it was recorded. */
export interface FileIdentity {
  readonly device: bigint
  readonly inode: bigint
  readonly sizeBytes: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

/** Formats of disk images that chains may consist of at this stage. */
export type ImageFormat = 'qcow2' | 'raw'

/** One layer of a chain as its header states it, with the identity of the file at the time of reading. */
export interface DetectedLayer {
  readonly path: string
  readonly format: ImageFormat
  /** Size that the guest sees, in bytes. */
  readonly virtualSizeBytes: bigint
  readonly file: FileIdentity
}

/** A change of a file's owner that was made so that QEMU can use it, and that is taken back at the end of the run. */
export interface OwnershipChange {
  readonly path: string
  readonly fromUid: number
  readonly fromGid: number
  readonly fromMode: number
  readonly toUid: number
  readonly toGid: number
}

/** Where to begin when a chain is read: explicit layers are taken as given, `detect` reads on from the last of them. */
export interface ChainRequest {
  /** Active image first. A format of null is refused unless the header's format may be trusted (raw is never guessed). */
  readonly given: readonly { readonly path: string; readonly format: ImageFormat }[]
  /** True when the definition states where the chain ends; then no header is followed. */
  readonly terminated: boolean
}

/** Access to image files: the only place where they are opened, created, or change owner. */
export interface Images {
  /** Number of image files opened since the daemon started: a warm start opens none. */
  readonly filesOpened: number
  /** Reads the headers of a chain, active image first. Throws a Fault that names the layer at fault. */
  readChain(request: ChainRequest, signal: AbortSignal): Promise<readonly DetectedLayer[]>
  /** Identity of a file by stat alone; null when it is not there. */
  stat(path: string): Promise<FileIdentity | null>
  /** Creates a qcow2 overlay without opening its backing file. Refuses an existing non-empty target unless reuse is asked for. */
  createOverlay(request: OverlayRequest, signal: AbortSignal): Promise<DetectedLayer>
  /** Removes a file that this daemon created and that no chain uses. */
  remove(path: string): Promise<void>
  /**
   * The ownership changes that give the QEMU user access where it lacks it; changes nothing. None for files it can use already.
   * Throws a Fault that names a file or directory which no change of a file's owner can make usable.
   */
  planAccess(wanted: readonly { readonly path: string; readonly write: boolean }[]): Promise<readonly OwnershipChange[]>
  /** Makes planned changes, all or none; what has the wanted owner already is left alone. */
  grant(changes: readonly OwnershipChange[]): Promise<void>
  /** Takes ownership changes back; a file that is gone or has another owner meanwhile is left alone. */
  restore(changes: readonly OwnershipChange[]): Promise<void>
  /** Physical facts for `domblkinfo`: bytes the guest sees, bytes allocated, highest offset. By stat, without opening where the size is known. */
  measure(
    path: string,
    virtualSizeBytes: bigint,
  ): Promise<{ readonly allocationBytes: bigint; readonly physicalBytes: bigint }>
}

/** An overlay to create on top of a backing image. */
export interface OverlayRequest {
  readonly path: string
  readonly virtualSizeBytes: bigint
  readonly backing: { readonly path: string; readonly format: ImageFormat }
  readonly reuseExternal: boolean
}
