import { execFile } from 'node:child_process'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** How the guest of a test disk spends its time: one block per timer tick (18.2 a second), as fast as it can, or only waiting. */
export type GuestPace = 'slow' | 'fast' | 'idle'

const sectorBytes = 512
const blockBytes = 16_384
const firstBlockSector = 64
const stateSector = 63
const slots = 2048
const magic = 'CRONOVIS'
const hltOffset = 0x89
const loopOffset = 0x2d

// A real-mode program for the BIOS of an x86 guest. Block n (16 KiB, every 32-bit word of it equal to n) goes to slot n mod 2048
// from sector 64 on; when it is written, sector 63 gets the magic and n. At boot n goes on from sector 63, so a reset or a new
// start loses nothing. Between two blocks the guest polls the ACPI power button (PM1 at port 0x600, where SeaBIOS puts it) and
// powers off; after each block it sends one '.' to COM1.
const listing = [
  'fa 31c0 8ed8 8ec0 8ed0 bc007c fb fc', // cli; ds = es = ss = 0; sp = 7c00; sti; cld
  '8816007d', // [7d00] = boot drive
  'ba0206 b80001 ef', // PM1_EN = power button
  'b442 be a87c 8a16007d cd13', // read sector 63 to 8000
  'ba0006 ed f6c401 755f', // next: PM1_STS has the power button? -> off
  '66a10880 6640', // eax = count + 1
  'bf0090 b90010 66f3ab', // 4096 words of it to 9000
  '6625ff070000 66c1e005 6683c040 66a3a07c', // sector = 64 + (eax & 7ff) * 32
  'b443 b000 be987c 8a16007d cd13 72f1', // write the block until it succeeds
  '66c7060080 43524f4e 66c7060480 4f564953', // the magic to 8000
  '66ff060880', // count = count + 1
  'b443 b000 bea87c 8a16007d cd13 72f1', // write sector 63 until it succeeds
  'baf803 b02e ee', // '.' to COM1
  'f4 eb98', // hlt; jmp next
  'ba0406 b80020 ef fa f4', // off: PM1_CNT = S5
  '8d7400', // (padding)
  '10002000 00900000 0000000000000000', // packet: 32 sectors from 9000
  '10000100 00800000 3f00000000000000', // packet: 1 sector at 8000, sector 63
]

/** The master boot record of a guest that writes verifiable blocks; see {@link verifyGuestWrites}. */
export function bootSector(pace: GuestPace): Buffer {
  const sector = Buffer.alloc(sectorBytes)
  Buffer.from(listing.join('').replaceAll(' ', ''), 'hex').copy(sector)
  if (pace === 'fast') sector[hltOffset] = 0x90
  if (pace === 'idle') Buffer.from('f4ebf4', 'hex').copy(sector, loopOffset)
  sector.writeUInt16LE(0xaa55, 510)
  return sector
}

/** What to put on a test disk. */
export interface GuestDiskOptions {
  readonly pace?: GuestPace
  /** At least 64. */
  readonly sizeMb?: number
  readonly format?: 'qcow2' | 'raw'
  /** Mebibytes of other data behind the guest's area, so that a block job has something to copy. */
  readonly ballastMb?: number
}

/** Creates a disk image that an x86 guest with 64 MiB of memory boots from; an existing file is replaced. */
export async function makeGuestDisk(path: string, options: GuestDiskOptions = {}): Promise<void> {
  const { pace = 'slow', sizeMb = 64, format = 'qcow2', ballastMb = 0 } = options
  const rawPath = format === 'raw' ? path : `${path}.raw`
  const file = await open(rawPath, 'w')
  try {
    await file.truncate(sizeMb * 2 ** 20)
    await file.write(bootSector(pace), 0, sectorBytes, 0)
    const piece = Buffer.alloc(2 ** 20, 0x5a)
    for (let i = 0; i < ballastMb; i += 1) await file.write(piece, 0, piece.length, (40 + i) * 2 ** 20)
  } finally {
    await file.close()
  }
  if (format === 'raw') return
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', rawPath, path])
  await rm(rawPath)
}

/** What a guest's disk says about what it wrote. */
export interface GuestWrites {
  /** Number of blocks whose write the guest saw complete; 0 when it never ran. */
  readonly count: number
  /** Numbers of blocks that were complete and are not on the disk: lost writes. At most the last 2048 blocks can be checked. */
  readonly lost: readonly number[]
}

/** Reads a guest's disk through its whole chain and says which of the completed writes are missing. The guest must not be running. */
export async function verifyGuestWrites(path: string, format: 'qcow2' | 'raw' = 'qcow2'): Promise<GuestWrites> {
  const directory = await mkdtemp(join(tmpdir(), 'guest-disk-'))
  try {
    const raw = join(directory, 'disk.raw')
    await run('qemu-img', ['convert', '-f', format, '-O', 'raw', path, raw])
    const file = await open(raw, 'r')
    try {
      const area = Buffer.alloc((slots + 2) * blockBytes)
      const { bytesRead } = await file.read(area, 0, firstBlockSector * sectorBytes + slots * blockBytes, 0)
      return readWrites(area.subarray(0, bytesRead))
    } finally {
      await file.close()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Number of completed blocks by sector 63 alone; works on a disk in use (a lower bound then: the hypervisor may hold newer data). */
export async function guestWriteCount(path: string, format: 'qcow2' | 'raw' = 'qcow2'): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'guest-disk-'))
  try {
    const raw = join(directory, 'state.raw')
    await run('qemu-img', [
      'dd',
      '-U',
      '-f',
      format,
      '-O',
      'raw',
      'bs=512',
      'skip=63',
      'count=64',
      `if=${path}`,
      `of=${raw}`,
    ])
    const file = await open(raw, 'r')
    try {
      const state = Buffer.alloc(sectorBytes)
      await file.read(state, 0, sectorBytes, 0)
      return stateCount(state)
    } finally {
      await file.close()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function stateCount(state: Buffer): number {
  return state.toString('latin1', 0, 8) === magic ? state.readUInt32LE(8) : 0
}

function readWrites(disk: Buffer): GuestWrites {
  const count = stateCount(disk.subarray(stateSector * sectorBytes))
  const lost: number[] = []
  // The block after the last complete one may already lie in its slot, over the one 2048 before it.
  for (let n = Math.max(1, count - slots + 2); n <= count; n += 1) {
    const start = firstBlockSector * sectorBytes + (n % slots) * blockBytes
    const block = disk.subarray(start, start + blockBytes)
    const wanted = Buffer.alloc(blockBytes)
    for (let at = 0; at < blockBytes; at += 4) wanted.writeUInt32LE(n, at)
    if (!block.equals(wanted)) lost.push(n)
  }
  return { count, lost }
}
