import { type SetupPackage, setupPackages } from './setup-packages.ts'

/** What `npm run setup` found out about the machine before it decides anything. */
export type SetupFacts = {
  readonly missing: readonly SetupPackage[]
  readonly isRoot: boolean
  /** Debian, Ubuntu or a child of theirs, with apt-get. */
  readonly hasApt: boolean
  readonly kvm: KvmFacts
  readonly userName: string
}

/** The state of /dev/kvm. `usable` is about this user, `grouped` about the members of group kvm. */
export type KvmFacts =
  | { readonly kind: 'absent' }
  | { readonly kind: 'present'; readonly grouped: boolean; readonly usable: boolean }

/** What setup is going to do itself, and the lines it prints for an operator where it may not. */
export type SetupPlan = {
  readonly install: readonly SetupPackage[]
  readonly openKvm: boolean
  readonly operatorLines: readonly string[]
  readonly notes: readonly string[]
}

/** The rows that a run is about: all with `dev`, else those the program itself needs. */
export function wantedPackages(dev: boolean): readonly SetupPackage[] {
  return setupPackages.filter((row) => dev || row.set === 'runtime')
}

/** Decides, without touching anything, what to do and what to leave to the operator. */
export function planSetup(facts: SetupFacts): SetupPlan {
  const names = facts.missing.map((row) => row.package).join(' ')
  const mayInstall = facts.isRoot && facts.hasApt
  const operatorLines: string[] = []
  const notes: string[] = []
  if (facts.missing.length > 0 && !mayInstall && facts.hasApt) {
    operatorLines.push(`sudo apt-get update && sudo apt-get install --no-install-recommends -y ${names}`)
  }
  if (facts.missing.length > 0 && !facts.hasApt) {
    notes.push(`This is neither Debian nor Ubuntu: install what there corresponds to Debian's ${names}.`)
  }
  if (facts.kvm.kind === 'absent')
    notes.push('There is no /dev/kvm: QEMU emulates the CPU (slower, nothing else differs).')
  if (facts.kvm.kind === 'present' && !facts.isRoot) operatorLines.push(...kvmLines(facts.kvm, facts.userName))
  return {
    install: mayInstall ? facts.missing : [],
    openKvm: facts.isRoot && facts.kvm.kind === 'present' && !facts.kvm.grouped,
    operatorLines,
    notes,
  }
}

function kvmLines(kvm: { readonly grouped: boolean; readonly usable: boolean }, userName: string): string[] {
  if (kvm.usable) return []
  const open = 'sudo groupadd --system --force kvm && sudo chown root:kvm /dev/kvm && sudo chmod 0660 /dev/kvm'
  return [...(kvm.grouped ? [] : [open]), `sudo usermod --append --groups kvm ${userName}   # then log in again`]
}
