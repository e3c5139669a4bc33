/** How many bytes from the start of a file a reader may be given; all that QEMU itself writes into a header lies within. */
export const headerBytesNeeded = 65_536

/** Formats whose headers are read at this stage; the other known ones are recognised and refused by name. */
export type ReadableFormat = 'qcow2' | 'raw'

/** What the header of an image states. Names are as written in the file: `parseBackingName` makes paths of them. */
export interface ImageHeader {
  readonly format: ReadableFormat
  /** Size that the guest sees. */
  readonly virtualSizeBytes: bigint
  readonly backing: BackingReference | null
  /** Name of the file that holds the guest's data outside this one. */
  readonly dataFile: string | null
  readonly encrypted: boolean
  /** Unit of allocation; null where the format has none. */
  readonly clusterSizeBytes: number | null
  readonly qcow2: Qcow2Facts | null
}

/** The image below, as an image names it. */
export interface BackingReference {
  readonly name: string
  /** Recorded format of the backing image, any text; null when the image does not record one. */
  readonly format: string | null
}

/** What only qcow2 has. */
export interface Qcow2Facts {
  readonly version: 2 | 3
  readonly encryption: 'aes' | 'luks' | null
  readonly compression: 'zlib' | 'zstd'
  readonly extendedL2: boolean
  /** The image was not closed: its reference counts may be wrong, its data is not. */
  readonly dirty: boolean
  /** QEMU marked the metadata as broken and opens the image only for reading. */
  readonly corrupt: boolean
  /** The data file can be read alone, as a raw image. */
  readonly dataFileRaw: boolean
  readonly internalSnapshots: number
  /** Persistent dirty bitmaps; null when the list is absent or was written by a program that did not keep it up to date. */
  readonly bitmaps: number | null
}

/** What a reader is told about the file besides its first bytes. */
export interface HeaderRequest {
  /** Name of the format that was recorded for this file. It is never guessed here. */
  readonly format: string
  readonly fileSizeBytes: bigint
}
