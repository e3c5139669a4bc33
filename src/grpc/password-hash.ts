import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/** A password that can be checked but not read: scrypt with its costs (RFC 7914: N, r, p), salt and result. */
export interface PasswordHash {
  readonly cost: number
  readonly blockSize: number
  readonly parallelization: number
  readonly salt: Buffer
  readonly result: Buffer
}

type Costs = Pick<PasswordHash, 'cost' | 'blockSize' | 'parallelization'>

const hashing = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt)

/** Costs of new hashes: 16 MiB and some 50 ms. */
const costs: Costs = { cost: 16_384, blockSize: 8, parallelization: 1 }
const saltBytes = 16
const resultBytes = 32
/** A line of the file must not be able to take all memory. */
const maxMemoryBytes = 256 << 20

const form = /^scrypt:(\d{1,8}):(\d{1,3}):(\d{1,3}):([A-Za-z0-9+/]+=*):([A-Za-z0-9+/]+=*)$/

/** Making, checking and spelling of password hashes: `scrypt:N:r:p:SALT:RESULT`, the last two in base64. */
export const passwordHash = {
  async make(password: string): Promise<PasswordHash> {
    const salt = randomBytes(saltBytes)
    return { ...costs, salt, result: await hashOf(password, { ...costs, salt, bytes: resultBytes }) }
  },

  async matches(password: string, { result, ...hash }: PasswordHash): Promise<boolean> {
    const found = await hashOf(password, { ...hash, bytes: result.length })
    return timingSafeEqual(found, result)
  },

  format({ cost, blockSize, parallelization, salt, result }: PasswordHash): string {
    const texts = [salt, result].map((bytes) => bytes.toString('base64'))
    return ['scrypt', cost, blockSize, parallelization, ...texts].join(':')
  },

  /** Null where the text is none. */
  parse(text: string): PasswordHash | null {
    const found = form.exec(text)
    if (found === null) return null
    const [, cost, blockSize, parallelization, salt = '', result = ''] = found
    const hash = {
      cost: Number(cost),
      blockSize: Number(blockSize),
      parallelization: Number(parallelization),
      salt: Buffer.from(salt, 'base64'),
      result: Buffer.from(result, 'base64'),
    }
    const isPower = hash.cost > 1 && Number.isInteger(Math.log2(hash.cost))
    const isPossible = hash.blockSize > 0 && hash.parallelization > 0 && hash.result.length >= 16
    return isPower && isPossible && memoryBytes(hash) < maxMemoryBytes ? hash : null
  },
} as const

async function hashOf(
  password: string,
  { salt, bytes, cost, blockSize, parallelization }: Costs & { readonly salt: Buffer; readonly bytes: number },
): Promise<Buffer> {
  const options = { N: cost, r: blockSize, p: parallelization, maxmem: maxMemoryBytes }
  return await hashing(password.normalize('NFC'), salt, bytes, options)
}

function memoryBytes({ cost, blockSize, parallelization }: Costs): number {
  return 128 * blockSize * (cost + parallelization)
}
