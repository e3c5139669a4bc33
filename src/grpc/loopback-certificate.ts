import { generateKeyPairSync, hash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { der } from './der.ts'

/** What a TLS server needs, as PEM; `authorityPath` is the file that clients are told to trust. */
export interface LoopbackCertificate {
  readonly key: Buffer
  readonly certificate: Buffer
  readonly authorityPath: string
}

const names = { authority: 'grpc-ca.pem', certificate: 'grpc-server.pem', key: 'grpc-server-key.pem' } as const
const validYears = 10
const dayMs = 86_400_000

/** RFC 5280, RFC 5480, RFC 5758. */
const oids = {
  commonName: '2.5.4.3',
  ecPublicKeySha256: '1.2.840.10045.4.3.2',
  subjectAlternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectKeyIdentifier: '2.5.29.14',
  authorityKeyIdentifier: '2.5.29.35',
  serverAuthentication: '1.3.6.1.5.5.7.3.1',
} as const

/**
 * The certificate of the gRPC port, from the state directory; made there on first use, and anew when it has expired: an authority whose key
 * is thrown away at once, and by it a certificate for the loopback names. An operator's own `grpc-server.pem` and key are used as they are.
 */
export function loopbackCertificate(stateDir: string): LoopbackCertificate {
  const authorityPath = join(stateDir, names.authority)
  const certificatePath = join(stateDir, names.certificate)
  const keyPath = join(stateDir, names.key)
  if (!existsSync(certificatePath) || (existsSync(authorityPath) && hasExpired(certificatePath))) {
    const { authority, certificate, key } = makeCertificates(new Date())
    // The certificate comes last: what it needs is there when it is.
    replace(keyPath, { text: key, mode: 0o600 })
    replace(authorityPath, { text: authority, mode: 0o644 })
    replace(certificatePath, { text: certificate, mode: 0o644 })
  }
  return { key: readFileSync(keyPath), certificate: readFileSync(certificatePath), authorityPath }
}

/** An authority and a certificate by it for `localhost`, 127.0.0.1 and ::1, as PEM; the authority's key is not kept. */
export function makeCertificates(now: Date): {
  readonly authority: string
  readonly certificate: string
  readonly key: string
} {
  const authorityKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const serverKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  // A name of its own each time: clients may hold an older authority.
  const issuer = `chronovisor ${randomBytes(4).toString('hex')}`
  const common = { issuer, authority: authorityKeys, now }
  const authority = certificateOf({
    ...common,
    subject: issuer,
    key: authorityKeys.publicKey,
    extensions: authorityExtensions,
  })
  const certificate = certificateOf({
    ...common,
    subject: 'localhost',
    key: serverKeys.publicKey,
    extensions: serverExtensions,
  })
  const key = serverKeys.privateKey.export({ type: 'pkcs8', format: 'pem' })
  return { authority: pem(authority), certificate: pem(certificate), key: key.toString() }
}

function extension(oid: string, value: Uint8Array, { critical }: { readonly critical: boolean }): Uint8Array {
  return der.sequence(der.oid(oid), ...(critical ? [der.boolean(true)] : []), der.octetString(value))
}

const authorityExtensions = [
  extension(oids.basicConstraints, der.sequence(der.boolean(true)), { critical: true }),
  // Bit 5, keyCertSign.
  extension(oids.keyUsage, der.bitString(Uint8Array.of(0x04), 2), { critical: true }),
]

const loopbackNames = der.sequence(
  der.tagged(2, Buffer.from('localhost'), 'primitive'),
  der.tagged(7, Uint8Array.of(127, 0, 0, 1), 'primitive'),
  der.tagged(7, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), 'primitive'),
)

const serverExtensions = [
  extension(oids.basicConstraints, der.sequence(), { critical: true }),
  // Bit 0, digitalSignature.
  extension(oids.keyUsage, der.bitString(Uint8Array.of(0x80), 7), { critical: true }),
  extension(oids.extendedKeyUsage, der.sequence(der.oid(oids.serverAuthentication)), { critical: false }),
  extension(oids.subjectAlternativeName, loopbackNames, { critical: false }),
]

function certificateOf(wanted: {
  readonly issuer: string
  readonly subject: string
  readonly key: KeyObject
  readonly authority: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
  readonly extensions: readonly Uint8Array[]
  readonly now: Date
}): Uint8Array {
  const { now } = wanted
  const algorithm = der.sequence(der.oid(oids.ecPublicKeySha256))
  // A clock that is a little behind must not refuse it.
  const from = new Date(now.getTime() - dayMs)
  const until = new Date(now.getTime() + validYears * 365 * dayMs)
  const body = der.sequence(
    der.tagged(0, der.integer(Uint8Array.of(2))), // version 3
    der.integer(randomBytes(16)),
    algorithm,
    nameOf(wanted.issuer),
    der.sequence(der.time(from), der.time(until)),
    nameOf(wanted.subject),
    wanted.key.export({ type: 'spki', format: 'der' }),
    der.tagged(3, der.sequence(...wanted.extensions, ...keyIdentifiers(wanted.key, wanted.authority.publicKey))),
  )
  return der.sequence(body, algorithm, der.bitString(sign('sha256', body, wanted.authority.privateKey)))
}

/** By which a strict client finds the authority's certificate: any name of a key that is unlike others will do. */
function keyIdentifiers(own: KeyObject, authority: KeyObject): readonly Uint8Array[] {
  const nameOfAuthority = der.sequence(der.tagged(0, keyIdentifier(authority), 'primitive'))
  return [
    extension(oids.subjectKeyIdentifier, der.octetString(keyIdentifier(own)), { critical: false }),
    extension(oids.authorityKeyIdentifier, nameOfAuthority, { critical: false }),
  ]
}

function keyIdentifier(key: KeyObject): Uint8Array {
  return hash('sha256', key.export({ type: 'spki', format: 'der' }), 'buffer').subarray(0, 20)
}

function nameOf(commonName: string): Uint8Array {
  return der.sequence(der.set(der.sequence(der.oid(oids.commonName), der.utf8String(commonName))))
}

function pem(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

function hasExpired(certificatePath: string): boolean {
  return new X509Certificate(readFileSync(certificatePath)).validToDate.getTime() <= Date.now()
}

function replace(path: string, { text, mode }: { readonly text: string; readonly mode: number }): void {
  writeFileSync(`${path}.new`, text, { mode })
  renameSync(`${path}.new`, path)
}
