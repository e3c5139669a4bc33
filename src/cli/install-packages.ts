import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import type { SetupPackage } from './setup-packages.ts'

/** Debian's installer asks this program before it starts a service. */
const POLICY_FILE = '/usr/sbin/policy-rc.d'
const LOCK_WAIT_S = 300
const APT_OPTIONS = ['-o', `DPkg::Lock::Timeout=${LOCK_WAIT_S}`, '-o', 'Acquire::Retries=3'] as const
/** Installed only to be compared with; enabled, libvirtd would manage this host at the next boot beside us. */
const PEER_UNITS = [
  'libvirtd.service',
  'libvirtd.socket',
  'libvirtd-ro.socket',
  'libvirtd-admin.socket',
  'virtlogd.service',
  'virtlogd.socket',
  'virtlockd.socket',
  'libvirt-guests.service',
] as const

/**
 * Installs the packages with apt-get, without questions and without recommended packages, waiting up to five minutes
 * for another apt-get. Services that come with them are not started. Throws when apt-get fails; a package that this
 * release does not have (and no replacement for it) is returned, not an error.
 */
export function installPackages(rows: readonly SetupPackage[], policyFile = POLICY_FILE): readonly SetupPackage[] {
  run('apt-get', [...APT_OPTIONS, 'update', '--quiet'])
  const resolved = rows.map((row) => ({ row, name: availableName(row) }))
  const names = resolved.flatMap(({ name }) => (name === null ? [] : [name]))
  if (names.length > 0) {
    withoutStartingServices(policyFile, () =>
      run('apt-get', [...APT_OPTIONS, 'install', '--quiet', '--yes', '--no-install-recommends', ...names]),
    )
    if (rows.some((row) => row.package === 'libvirt-daemon-system')) retirePeerUnits()
  }
  return resolved.filter(({ name }) => name === null).map(({ row }) => row)
}

function availableName(row: SetupPackage): string | null {
  const candidates = row.fallbackPackage === undefined ? [row.package] : [row.package, row.fallbackPackage]
  return candidates.find(hasCandidate) ?? null
}

function hasCandidate(name: string): boolean {
  const policy = spawnSync('apt-cache', ['policy', name], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
  return /^ {2}Candidate: (?!\(none\))/m.test(policy.stdout)
}

/** Debian starts what it installs unless policy-rc.d says no; an operator's own policy is left as it is. */
function withoutStartingServices(policyFile: string, install: () => void): void {
  const hasOwnPolicy = existsSync(policyFile)
  if (!hasOwnPolicy) writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    install()
  } finally {
    if (!hasOwnPolicy) rmSync(policyFile, { force: true })
  }
}

function retirePeerUnits(): void {
  if (!existsSync('/run/systemd/system')) return
  for (const unit of PEER_UNITS) spawnSync('systemctl', ['disable', '--now', unit], { stdio: 'ignore' })
}

function run(command: string, args: readonly string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'a' }
  const { status, signal, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], env })
  if (status === 0) return
  const why = error?.message ?? (signal === null ? `it ended with ${status}` : `it was ended by ${signal}`)
  throw new Error(`Cannot install packages: "${command} ${args.join(' ')}" failed: ${why}`)
}
