import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { catalogue } from '../../src/events/catalogue.ts'
import { isOwnStream, ownCategories } from '../../src/events/own-streams.ts'
import {
  claimStream,
  domainStream,
  emulatorStream,
  nodeStream,
  projectionStream,
  refusalStream,
} from '../../src/events/stream-names.ts'
import { CredentialsFileError, isUserName, readCredentials, writeCredentials } from '../../src/grpc/credentials-file.ts'
import { makeCertificates } from '../../src/grpc/loopback-certificate.ts'
import { passwordHash } from '../../src/grpc/password-hash.ts'

const directory = mkdtempSync(join(tmpdir(), 'grpc-users-'))
const path = join(directory, 'grpc-credentials')
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('passwordHash', () => {
  test('matches the password and nothing else, also after it was written down', async () => {
    const hash = await passwordHash.make('pässword')
    const read = passwordHash.parse(passwordHash.format(hash))
    expect(read).toEqual(hash)
    expect(await passwordHash.matches('pässword', hash)).toBe(true)
    expect(await passwordHash.matches('password', hash)).toBe(false)
    // The same letters, composed in another way.
    expect(await passwordHash.matches('pässword'.normalize('NFD'), hash)).toBe(true)
    expect(passwordHash.format(await passwordHash.make('pässword'))).not.toBe(passwordHash.format(hash))
  })

  test.each([
    'scrypt:16384:8:1:c2FsdA==:',
    'scrypt:16383:8:1:c2FsdA==:AAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    'scrypt:33554432:8:1:c2FsdA==:AAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    'scrypt:16384:8:1:c2FsdA==:AAAA',
    'plain:secret',
  ])('parse() does not take "%s"', (text) => {
    expect(passwordHash.parse(text)).toBeNull()
  })
})

describe('readCredentials()', () => {
  test('reads what writeCredentials() wrote, for its owner only', async () => {
    const users = [
      { name: 'wanda', role: 'writer', hash: await passwordHash.make('x') },
      { name: 'anonymous', role: 'reader', hash: null },
    ] as const
    writeCredentials(path, users)
    expect([...readCredentials(path).values()]).toEqual(users)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path, 'utf8')).not.toContain('undefined')
  })

  test('finds nobody where there is no file', () => {
    expect(readCredentials(join(directory, 'none')).size).toBe(0)
  })

  test.each([
    { text: 'wanda writer', line: 1 },
    { text: '# a comment\n\nwanda admin scrypt:16384:8:1:c2FsdA==:AAAAAAAAAAAAAAAAAAAAAAAAAAA=', line: 3 },
    { text: 'anonymous reader scrypt:16384:8:1:c2FsdA==:AAAAAAAAAAAAAAAAAAAAAAAAAAA=', line: 1 },
    { text: 'wanda writer -', line: 1 },
    { text: 'anonymous reader -\nanonymous writer -', line: 2 },
  ])('refuses "$text", naming the line', ({ text, line }) => {
    writeFileSync(path, text, { mode: 0o600 })
    expect(() => readCredentials(path)).toThrow(CredentialsFileError)
    expect(() => readCredentials(path)).toThrow(`line ${line} `)
  })

  test('isUserName() takes names that a line and a connection string can hold', () => {
    expect(['a', 'Grafana_2', 'x@host.example'].filter((name) => !isUserName(name))).toEqual([])
    expect(['', 'a b', 'a:b', '#a', 'x'.repeat(65)].filter(isUserName)).toEqual([])
  })
})

describe('makeCertificates()', () => {
  test('gives a certificate for the loopback names by an authority of its own', () => {
    const made = makeCertificates(new Date('2026-01-02T03:04:05Z'))
    const authority = new X509Certificate(made.authority)
    const server = new X509Certificate(made.certificate)
    expect(server.verify(authority.publicKey) && server.checkIssued(authority)).toBe(true)
    expect(server.checkPrivateKey(createPrivateKey(made.key))).toBe(true)
    expect([authority.ca, server.ca]).toEqual([true, false])
    expect(server.checkHost('localhost')).toBe('localhost')
    expect([server.checkIP('127.0.0.1'), server.checkIP('::1'), server.checkIP('127.0.0.2')]).toEqual([
      '127.0.0.1',
      '::1',
      undefined,
    ])
    expect(server.validToDate.getUTCFullYear()).toBe(2035)
  })

  test('spells the year of times from 2050 on in four digits', () => {
    const server = new X509Certificate(makeCertificates(new Date('2049-06-01T00:00:00Z')).certificate)
    expect(server.validToDate.getUTCFullYear()).toBe(2059)
  })
})

describe('isOwnStream()', () => {
  test("knows every stream of the daemon's facts", () => {
    const own = [
      domainStream('u'),
      nodeStream('h'),
      emulatorStream('p'),
      claimStream('name', 'x'),
      claimStream('image', 'x'),
      claimStream('port', 'x'),
      refusalStream(0),
      projectionStream('p'),
    ]
    expect(own.filter((stream) => !isOwnStream(stream))).toEqual([])
    expect(Object.keys(catalogue).length).toBeGreaterThan(ownCategories.size)
  })

  test('leaves all others to clients', () => {
    expect(['order-1', 'domains-1', 'my-domain-1', 'nodes', ''].filter(isOwnStream)).toEqual([])
  })
})
