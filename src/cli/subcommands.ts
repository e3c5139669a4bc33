import type { Run } from './invocation.ts'

/** A subcommand: what `--help` says of it, and where its code is. One row per subcommand; the code is loaded when it is called. */
export interface Subcommand {
  /** Words that call it, for example `caps list`. */
  readonly name: string
  /** Positional arguments in the notation of commander: `<needed> [optional]`. */
  readonly args?: string
  readonly summary: string
  readonly options?: readonly (readonly [flags: string, meaning: string])[]
  /** Command lines that show it, without the program's name. */
  readonly examples: readonly string[]
  readonly load: () => Promise<Run>
}

const asOf = ['--as-of <TIME>', 'look at this moment instead of now'] as const
const since = ['--since <TIME>', 'only from this moment on'] as const
const reason = ['--reason <TEXT>', 'why, recorded with the change'] as const

const keyOption = ['--key <KEYS>', 'only these verifier keys of the log count, separated by commas'] as const
const witnessOption = ['--witness <KEYS>', 'these witnesses must have signed, too'] as const
const proofFile = ['--out <FILE>', 'write it there'] as const

/** All subcommands that read the log or ask the daemon for something, in the order of the help. */
export const subcommands: readonly Subcommand[] = [
  {
    name: 'status',
    summary: 'the daemon, its database and its log',
    examples: ['status', 'status --json'],
    load: async () => (await import('./status-command.ts')).statusCommand,
  },
  {
    name: 'log',
    args: '[stream-or-domain]',
    summary: 'who did what, when and why',
    options: [
      since,
      ['--until <TIME>', 'only up to this moment'],
      ['-t, --type <TYPES>', 'only events of these types, separated by commas'],
      ['-n, --number <N>', 'only the last N events'],
      ['-r, --reverse', 'newest first'],
      ['-f, --follow', 'go on with what comes'],
    ],
    examples: [
      'log',
      'log web --since -2h',
      'log --type DomainDefined,DomainStarted -n 20',
      'log --since "2026-03-03 10:00" --until @182733',
      'log --follow --json',
    ],
    load: async () => (await import('./log-command.ts')).logCommand,
  },
  {
    name: 'events',
    args: '[type]',
    summary: 'the types of events that are recorded, with their fields; needs no daemon',
    options: [['--markdown', 'as a reference page']],
    examples: ['events', 'events DomainStarted', 'events --json', 'events --markdown'],
    load: async () => (await import('./events-command.ts')).eventsCommand,
  },
  {
    name: 'why',
    args: '<position>',
    summary: 'an event, what led to it and who asked for it',
    examples: ['why @182733'],
    load: async () => (await import('./why-command.ts')).whyCommand,
  },
  {
    name: 'trace',
    args: '<id>',
    summary: 'everything that one request, command or job did',
    examples: ['trace 0197c0de-0000-7000-8000-000000000001'],
    load: async () => (await import('./why-command.ts')).traceCommand,
  },
  {
    name: 'xml',
    args: '<domain>',
    summary: 'the definition of a domain at any moment',
    options: [
      asOf,
      ['--diff <TIME>', 'what is different at this other moment'],
      ['--inactive', 'the definition of the next start, also of a running domain'],
      ['--submitted', 'the text as the client sent it, byte for byte'],
    ],
    examples: ['xml web', 'xml web --as-of -2d', 'xml web --as-of @120 --diff now'],
    load: async () => (await import('./xml-command.ts')).xmlCommand,
  },
  {
    name: 'chain',
    args: '<domain> [disk]',
    summary: 'the backing chain of a disk, what created each file, and the files that left',
    options: [asOf],
    examples: ['chain web vda', 'chain web vda --as-of 2026-03-03T10:00:00Z', 'chain adopt web vda'],
    load: async () => (await import('./chain-command.ts')).chainCommand,
  },
  {
    name: 'chain adopt',
    args: '<domain> <disk>',
    summary: 'declare the chain that is found on disk now to be the right one',
    options: [reason],
    examples: ['chain adopt web vda --reason "base rebased by hand, CHG-1234"'],
    load: async () => (await import('./chain-adopt-command.ts')).chainAdoptCommand,
  },
  {
    name: 'jobs',
    summary: 'block jobs that run, or with --all every one',
    options: [
      ['-a, --all', 'also those that ended'],
      ['--failed', 'only those that failed or were lost'],
      ['-d, --domain <NAME>', 'only those of this domain'],
      ['--since <TIME>', 'only those asked for from this moment on, ended ones included'],
    ],
    examples: ['jobs', 'jobs --all --domain web', 'jobs --failed --since -30d'],
    load: async () => (await import('./jobs-command.ts')).jobsCommand,
  },
  {
    name: 'caps list',
    summary: 'emulators with their capability versions',
    options: [asOf],
    examples: ['caps list', 'caps list --as-of -7d'],
    load: async () => (await import('./caps-list-command.ts')).capsListCommand,
  },
  {
    name: 'caps show',
    args: '<version-or-emulator>',
    summary: 'everything that is recorded of one capability version',
    options: [asOf, ['--format <FORMAT>', 'as a capability document: 11.3.0, 9.0.0 or json']],
    examples: [
      'caps show /usr/bin/qemu-system-x86_64',
      'caps show qemu-system-x86_64 --as-of -7d --json',
      'caps show qemu-system-x86_64 --format 11.3.0',
    ],
    load: async () => (await import('./caps-list-command.ts')).capsShowCommand,
  },
  {
    name: 'caps invalidations',
    summary: 'which capability versions died, why, and which domains stood on them',
    options: [since],
    examples: ['caps invalidations --since -30d'],
    load: async () => (await import('./caps-invalidations-command.ts')).capsInvalidationsCommand,
  },
  {
    name: 'caps audit',
    summary: 'replay why versions were thrown away, and whether one was used that should have been; 3 on a finding',
    options: [since],
    examples: ['caps audit', 'caps audit --since -30d --json'],
    load: async () => (await import('./caps-audit-command.ts')).capsAuditCommand,
  },
  {
    name: 'caps diff',
    args: '<version-or-emulator> <version-or-emulator>',
    summary: 'the flags, machines and CPUs by which two capability versions differ; 3 where they do',
    examples: ['caps diff qemu-system-x86_64 qemu-system-i386'],
    load: async () => (await import('./caps-diff-command.ts')).capsDiffCommand,
  },
  {
    name: 'caps dependents',
    args: '<version-or-emulator>',
    summary: 'which domains were defined against a capability version or ran with it',
    examples: ['caps dependents qemu-system-x86_64'],
    load: async () => (await import('./caps-dependents-command.ts')).capsDependentsCommand,
  },
  {
    name: 'caps probe',
    args: '[emulator]',
    summary: 'ask emulators now: the named one, or those that have no valid version',
    options: [['-a, --all', 'all emulators'], reason],
    examples: ['caps probe /usr/bin/qemu-system-x86_64', 'caps probe --all --reason "after the upgrade"'],
    load: async () => (await import('./caps-probe-command.ts')).capsProbeCommand,
  },
  {
    name: 'caps export',
    args: '<version-or-emulator>',
    summary: 'everything that was asked and answered in the probe of a version',
    examples: ['caps export qemu-system-x86_64 > x86_64.replies'],
    load: async () => (await import('./caps-export-command.ts')).capsExportCommand,
  },
  {
    name: 'caps import',
    args: '<file>',
    summary: 'what would be made of a recorded conversation; records nothing, needs no daemon',
    options: [['--format <FORMAT>', 'as a capability document: 11.3.0, 9.0.0 or json']],
    examples: ['caps import x86_64.replies', 'caps import x86_64.replies --format 9.0.0'],
    load: async () => (await import('./caps-import-command.ts')).capsImportCommand,
  },
  {
    name: 'caps rebuild',
    summary: 'derive every version again from what was answered, without running an emulator; 3 on a difference',
    examples: ['caps rebuild', 'caps rebuild --json'],
    load: async () => (await import('./caps-rebuild-command.ts')).capsRebuildCommand,
  },
  {
    name: 'caps host',
    summary: 'facts of this machine by independent parts, only those that are asked for; needs no daemon',
    options: [
      ['--part <PARTS>', 'some of cpu, numa, cache, resctrl, iommu, security, migration, power; separated by commas'],
    ],
    examples: ['caps host --part cpu', 'caps host --part numa,cache --json'],
    load: async () => (await import('./caps-host-command.ts')).capsHostCommand,
  },
  {
    name: 'caps forget',
    args: '[emulator]',
    summary: 'throw capability versions away: the emulators are asked again when they are needed',
    options: [['-a, --all', 'those of all emulators'], reason],
    examples: ['caps forget /usr/bin/qemu-system-x86_64', 'caps forget --all --reason "new firmware"'],
    load: async () => (await import('./caps-forget-command.ts')).capsForgetCommand,
  },
  {
    name: 'replay',
    summary: 'replay the log into shadow tables and compare them with what serves; 3 when they differ',
    options: [['--check', 'compare, and change nothing']],
    examples: ['replay --check'],
    load: async () => (await import('./replay-command.ts')).replayCommand,
  },
  {
    name: 'projections',
    summary: 'the read models: version, position, lag, dead letters, size; what the log takes; 3 on dead letters',
    examples: ['projections', 'projections --json'],
    load: async () => (await import('./projections-command.ts')).projectionsCommand,
  },
  {
    name: 'projections retry',
    args: '<name> [stream]',
    summary:
      'have a read model follow a quarantined stream again, or all of them, from the event that it could not take',
    options: [reason],
    examples: [
      'projections retry block_jobs',
      'projections retry block_jobs domain-0197c0de-0000-7000-8000-000000000001',
    ],
    load: async () => (await import('./projections-command.ts')).projectionsRetryCommand,
  },
  {
    name: 'projections skip',
    args: '<name> <stream>',
    summary: 'have a read model leave out the event that it could not take, and follow the stream from the next',
    options: [reason],
    examples: ['projections skip block_jobs domain-0197c0de-0000-7000-8000-000000000001 --reason "CHG-1234"'],
    load: async () => (await import('./projections-command.ts')).projectionsSkipCommand,
  },
  {
    name: 'rebuild',
    args: '[name]',
    summary: 'build a read model anew beside the one that serves, report every difference, then switch',
    options: [
      ['--diff', 'only report; 3 when they differ'],
      ['--prepare', 'build for the next start of the daemon with this version; all that changed where none is named'],
      reason,
    ],
    examples: ['rebuild block_jobs --diff', 'rebuild block_jobs --reason "after a repair"', 'rebuild --prepare'],
    load: async () => (await import('./rebuild-command.ts')).rebuildCommand,
  },
  {
    name: 'check',
    summary: 'check the invariants of the log, the read models and the running domains; 3 on a finding',
    options: [['-a, --all', 'also those that read the whole log']],
    examples: ['check', 'check --all --json'],
    load: async () => (await import('./check-command.ts')).checkCommand,
  },
  {
    name: 'verify',
    summary: 'recompute the whole log and compare every column with what was recorded and signed; 3 on a finding',
    options: [
      ['--from-checkpoint <FILE>', 'begin after what a checkpoint kept elsewhere vouches for'],
      keyOption,
      witnessOption,
    ],
    examples: ['verify', 'verify --json', 'verify --from-checkpoint /mnt/usb/checkpoint --key "$KEY"'],
    load: async () => (await import('./verify-command.ts')).verifyCommand,
  },
  {
    name: 'checkpoint',
    summary: 'what the log is now, signed; kept elsewhere, it shows whether somebody rewrote the log',
    options: [
      ['--key', 'only the key that verifies it'],
      ['--latest', 'the newest that is stored, without signing another'],
    ],
    examples: ['checkpoint', 'checkpoint --key', 'checkpoint --latest --json'],
    load: async () => (await import('./checkpoint-command.ts')).checkpointCommand,
  },
  {
    name: 'prove',
    args: '<position>',
    summary: 'a text that proves an event to whoever has the key of the log, without the log',
    options: [proofFile, ['--with-data', 'disclose the event’s data and metadata in it, not only their hashes']],
    examples: ['prove @182733', 'prove @182733 --with-data --out event.proof'],
    load: async () => (await import('./prove-command.ts')).proveCommand,
  },
  {
    name: 'prove consistency',
    args: '<old> [new]',
    summary: 'a text that proves that the log of an old checkpoint is the beginning of that of a new one',
    options: [proofFile],
    examples: [
      'prove consistency january.checkpoint',
      'prove consistency january.checkpoint june.checkpoint --out growth.proof',
    ],
    load: async () => (await import('./prove-command.ts')).proveConsistencyCommand,
  },
  {
    name: 'verify-proof',
    args: '<file>',
    summary: 'check a proof, without a log or a daemon; 3 where it does not hold',
    options: [keyOption, witnessOption],
    examples: ['verify-proof event.proof --key "$KEY"', 'verify-proof growth.proof --key "$KEY" --json'],
    load: async () => (await import('./verify-proof-command.ts')).verifyProofCommand,
  },
  {
    name: 'erase',
    args: '<position>',
    summary: 'take the data of an event away for good; its hash stays, so that every proof holds',
    options: [reason],
    examples: ['erase @182733 --reason "asked for by its author, CHG-1234"'],
    load: async () => (await import('./erase-command.ts')).eraseCommand,
  },
  {
    name: 'backup',
    args: '<dir>',
    summary: 'copy the log into files, while it serves; again into the same directory: only what is new',
    examples: ['backup /var/backups/chronovisor', 'backup /mnt/b --database postgres://log@db/log --json'],
    load: async () => (await import('./backup-command.ts')).backupCommand,
  },
  {
    name: 'restore',
    args: '<dir>',
    summary: 'make a log of a backup, in an empty state directory or database; 3 when a drill misses something',
    options: [
      ['--drill', 'on a scratch server in TMPDIR, gone afterwards: recompute everything, compare with the live log'],
      ['--offline', 'with --drill: do not look at the live log'],
      ['--key <KEYS>', 'only these public keys may have signed the checkpoints of the backup'],
    ],
    examples: [
      'restore /var/backups/chronovisor --state-dir /var/lib/chronovisor',
      'restore /mnt/b --database postgres://log@db/empty',
      'restore --drill /var/backups/chronovisor',
    ],
    load: async () => (await import('./restore-command.ts')).restoreCommand,
  },
  {
    name: 'grpc-user add',
    args: '<name>',
    summary: 'let a user read, or also append, through the gRPC port; the password is shown once',
    options: [
      ['--role <ROLE>', 'reader or writer'],
      ['--password-stdin', 'take the password from standard input instead of making one'],
    ],
    examples: ['grpc-user add grafana --role reader', 'grpc-user add anonymous --role reader'],
    load: async () => (await import('./grpc-user-command.ts')).grpcUserAddCommand,
  },
  {
    name: 'grpc-user remove',
    args: '<name>',
    summary: 'let a user of the gRPC port in no more',
    examples: ['grpc-user remove grafana'],
    load: async () => (await import('./grpc-user-command.ts')).grpcUserRemoveCommand,
  },
  {
    name: 'grpc-user list',
    summary: 'users of the gRPC port with their roles',
    examples: ['grpc-user list', 'grpc-user list --json'],
    load: async () => (await import('./grpc-user-command.ts')).grpcUserListCommand,
  },
  {
    name: 'db-user add',
    args: '<name>',
    summary: 'let a reporting tool read views and read models of the embedded PostgreSQL, and write nothing',
    options: [
      ['--os-user <USER>', 'the user of this machine that it runs as; of the same name unless told'],
      ['--connections <N>', 'most connections at a time, 5 unless told'],
      ['--timeout <SECONDS>', 'longest statement, 60 unless told'],
      ['--idle <SECONDS>', 'longest pause in a transaction, 60 unless told'],
    ],
    examples: ['db-user add grafana', 'db-user add reports --os-user metabase --timeout 300'],
    load: async () => (await import('./db-user-command.ts')).dbUserAddCommand,
  },
  {
    name: 'db-user remove',
    args: '<name>',
    summary: 'let a reporting tool in no more, and end its connections',
    examples: ['db-user remove grafana'],
    load: async () => (await import('./db-user-command.ts')).dbUserRemoveCommand,
  },
  {
    name: 'db-user list',
    summary: 'logins of reporting tools with their limits',
    examples: ['db-user list', 'db-user list --json'],
    load: async () => (await import('./db-user-command.ts')).dbUserListCommand,
  },
  {
    name: 'tour',
    summary: 'plays the main story on a daemon of its own and explains it; takes about a minute',
    examples: ['tour'],
    load: async () => (await import('./tour.ts')).tourCommand,
  },
]
