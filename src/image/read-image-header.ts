import { knownFormats } from './format-signatures.ts'
import { type HeaderRequest, headerBytesNeeded, type ImageHeader, type ReadableFormat } from './image-header.ts'
import { ImageHeaderError } from './image-header-error.ts'
import { readQcow2Header } from './qcow2-header.ts'
import { readRawHeader } from './raw-header.ts'

/** Readers by format name; a new format is a new row. */
const readers: Readonly<Record<ReadableFormat, (bytes: Uint8Array, fileSizeBytes: bigint) => ImageHeader>> = {
  qcow2: readQcow2Header,
  raw: (_bytes, fileSizeBytes) => readRawHeader(fileSizeBytes),
}

/**
 * Facts of an image from its first bytes (at most {@link headerBytesNeeded} are looked at), read by the format that was
 * recorded for it. Does no I/O and allocates no more than the names in the header, whatever the bytes say.
 *
 * ```ts
 * readImageHeader(first64KiB, { format: 'qcow2', fileSizeBytes: 196_616n }).backing   // { name: 'base.qcow2', format: 'qcow2' }
 * ```
 *
 * Throws ImageHeaderError, which names the rule that was broken and the offset.
 */
export function readImageHeader(bytes: Uint8Array, { format, fileSizeBytes }: HeaderRequest): ImageHeader {
  if (isReadableFormat(format)) return readers[format](bytes.subarray(0, headerBytesNeeded), fileSizeBytes)
  const served = Object.keys(readers).join(', ')
  if (knownFormats.includes(format)) {
    throw new ImageHeaderError(
      `Cannot read image of format "${format}": this format is not served, served are ${served}`,
      {
        rule: 'format_not_served',
        offset: null,
      },
    )
  }
  throw new ImageHeaderError(`Cannot read image of format "${format}": there is no such format, served are ${served}`, {
    rule: 'format_unknown',
    offset: null,
  })
}

/** Whether headers of this format can be read. */
export function isReadableFormat(format: string): format is ReadableFormat {
  return Object.hasOwn(readers, format)
}
