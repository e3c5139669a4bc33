import type { ByteWindow } from './byte-window.ts'

/** What the header extensions of a qcow2 image state. */
export interface Qcow2Extensions {
  readonly backingFormat: string | null
  readonly dataFile: string | null
  readonly bitmaps: number | null
  /** Names that the image gives to its feature bits, by `type:bit`, to name an unknown one in an error. */
  readonly featureNames: ReadonlyMap<string, string>
}

/** Bounds of the extension area, in bytes from the start of the file. */
export interface ExtensionArea {
  readonly startOffset: number
  readonly endOffset: number
}

const endOfExtensions = 0x00000000
const backingFormatMagic = 0xe2792aca
const featureNamesMagic = 0x6803f857
const bitmapsMagic = 0x23852875
const dataFileMagic = 0x44415441

// QEMU keeps a backing format in 16 bytes and a file name in 1024, both with a terminating NUL.
const maxBackingFormatBytes = 15
const maxDataFileNameBytes = 1023
const maxBitmaps = 65_535
const maxExtensions = 64
const bitmapsBytes = 24
const featureRowBytes = 48

/**
 * Reads the header extensions of a qcow2 image. Unknown ones are skipped, as the format demands (what must not be skipped has an incompatible
 * feature bit); a doubled one is refused, because programs differ in which of the two they believe.
 */
export function readQcow2Extensions(window: ByteWindow, area: ExtensionArea): Qcow2Extensions {
  const found = new Map<number, Extension>()
  let offset = area.startOffset
  // A full area needs no end mark: it then ends where the backing name or the cluster does.
  while (offset + 8 <= area.endOffset) {
    const magic = window.u32(offset)
    if (magic === endOfExtensions) break
    const extension = readExtension(window, { magic, offset, endOffset: area.endOffset })
    if (found.has(magic)) window.refuse('extension', offset, `header extension ${hex(magic)} stands there twice`)
    if (found.size === maxExtensions) {
      window.refuse('extension', offset, `it has more than ${maxExtensions} header extensions`)
    }
    found.set(magic, extension)
    offset = extension.dataOffset + Math.ceil(extension.lengthBytes / 8) * 8
  }
  return {
    backingFormat: readBackingFormat(window, found.get(backingFormatMagic)),
    dataFile: readDataFile(window, found.get(dataFileMagic)),
    bitmaps: readBitmapCount(window, found.get(bitmapsMagic)),
    featureNames: readFeatureNames(window, found.get(featureNamesMagic)),
  }
}

interface Extension {
  readonly dataOffset: number
  readonly lengthBytes: number
}

function readExtension(
  window: ByteWindow,
  at: { readonly magic: number; readonly offset: number; readonly endOffset: number },
): Extension {
  const dataOffset = at.offset + 8
  const lengthBytes = window.u32(at.offset + 4)
  if (lengthBytes > at.endOffset - dataOffset) {
    window.refuse(
      'extension',
      at.offset,
      `header extension ${hex(at.magic)} is ${lengthBytes} bytes long, ${at.endOffset - dataOffset} are left`,
    )
  }
  return { dataOffset, lengthBytes }
}

function readBackingFormat(window: ByteWindow, extension: Extension | undefined): string | null {
  if (extension === undefined || extension.lengthBytes === 0) return null
  if (extension.lengthBytes > maxBackingFormatBytes) {
    window.refuse(
      'extension',
      extension.dataOffset,
      `the format of the backing file is ${extension.lengthBytes} bytes long, at most ${maxBackingFormatBytes} are allowed`,
    )
  }
  return window.text({
    name: 'the format of the backing file',
    rule: 'extension',
    offset: extension.dataOffset,
    lengthBytes: extension.lengthBytes,
  })
}

function readDataFile(window: ByteWindow, extension: Extension | undefined): string | null {
  if (extension === undefined) return null
  if (extension.lengthBytes > maxDataFileNameBytes) {
    window.refuse(
      'data_file',
      extension.dataOffset,
      `the name of the data file is ${extension.lengthBytes} bytes long, at most ${maxDataFileNameBytes} are allowed`,
    )
  }
  return window.text({
    name: 'the name of the data file',
    rule: 'data_file',
    offset: extension.dataOffset,
    lengthBytes: extension.lengthBytes,
  })
}

function readBitmapCount(window: ByteWindow, extension: Extension | undefined): number | null {
  if (extension === undefined) return null
  if (extension.lengthBytes !== bitmapsBytes) {
    window.refuse(
      'extension',
      extension.dataOffset,
      `the bitmaps extension is ${extension.lengthBytes} bytes long, it must be ${bitmapsBytes}`,
    )
  }
  const bitmaps = window.u32(extension.dataOffset)
  if (bitmaps > maxBitmaps) {
    window.refuse('extension', extension.dataOffset, `it has ${bitmaps} bitmaps, at most ${maxBitmaps} are allowed`)
  }
  return bitmaps
}

/** Rows of 48 bytes: type, bit, name padded with NUL. Only used for error texts, so what is odd is left out instead of refused. */
function readFeatureNames(window: ByteWindow, extension: Extension | undefined): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  if (extension === undefined) return names
  const rows = Math.min(Math.floor(extension.lengthBytes / featureRowBytes), 256)
  for (let row = 0; row < rows; row += 1) {
    const start = extension.dataOffset + row * featureRowBytes
    let name = ''
    for (let index = 2; index < featureRowBytes; index += 1) {
      const byte = window.u8(start + index)
      if (byte < 0x20 || byte > 0x7e) break
      name += String.fromCharCode(byte)
    }
    if (name !== '') names.set(`${window.u8(start)}:${window.u8(start + 1)}`, name)
  }
  return names
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}
