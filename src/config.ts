import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import * as v from 'valibot'

/** Where the daemon keeps what, and how it behaves. Directories are absolute. */
export interface Config {
  /** Everything that must survive: the database, images that it makes by itself, logs of guests. */
  readonly stateDir: string
  /** Sockets and pid files: gone with a reboot. */
  readonly socketDir: string
  /** A PostgreSQL to use; null = the embedded one, below stateDir. */
  readonly database: string | null
  /** `auto` = QEMU where it is installed, else the driver without QEMU. */
  readonly driver: 'auto' | 'qemu' | 'test'
  readonly logLevel: LogLevel
  readonly jsonLogs: boolean
  /** Group that may use the read-write socket; null = that of the process. */
  readonly socketGroup: string | null
  /** User that hypervisor processes run as; null = a suitable one is chosen (the daemon's own, unless it is root). */
  readonly qemuUser: string | null
  readonly vncPortFirst: number
  readonly vncPortLast: number
  /** Longest wait for a domain that somebody else changes, in milliseconds. */
  readonly jobWaitMs: number
  /** A checkpoint of the log is signed after so many events, and after so many minutes in which there were any. */
  readonly checkpointEvents: number
  readonly checkpointMinutes: number
  /** Where the EventStoreDB protocol is served; null = nowhere. */
  readonly grpc: LocalListen | null
  /** Where Prometheus' metrics are served; null = nowhere. */
  readonly metrics: LocalListen | null
}

/** A UNIX socket by its absolute path, or a port of the loopback interface (0: any free one). */
export type LocalListen =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: '127.0.0.1' | '::1'; readonly port: number }

/** How much the daemon says. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** A setting: its name on the command line and in the file, its variable, what it means. One row per setting. */
export interface Setting {
  readonly flag: string
  readonly variable: string
  readonly value: string | null
  readonly meaning: string
}

/** All settings. Flags win over variables, variables over the file, the file over defaults. */
export const settings = [
  {
    flag: 'state-dir',
    variable: 'CHRONOVISOR_STATE_DIR',
    value: 'DIR',
    meaning: 'where everything that must survive is kept',
  },
  { flag: 'socket-dir', variable: 'CHRONOVISOR_SOCKET_DIR', value: 'DIR', meaning: 'where the sockets are' },
  {
    flag: 'database',
    variable: 'CHRONOVISOR_DATABASE',
    value: 'URL',
    meaning: 'postgres://… of a PostgreSQL 15 or newer to use instead of the embedded one',
  },
  { flag: 'driver', variable: 'CHRONOVISOR_DRIVER', value: 'NAME', meaning: 'auto, qemu or test' },
  {
    flag: 'log-level',
    variable: 'CHRONOVISOR_LOG_LEVEL',
    value: 'LEVEL',
    meaning: 'trace, debug, info, warn, error or silent',
  },
  { flag: 'json-logs', variable: 'CHRONOVISOR_JSON_LOGS', value: null, meaning: 'write logs as JSON lines' },
  {
    flag: 'socket-group',
    variable: 'CHRONOVISOR_SOCKET_GROUP',
    value: 'GROUP',
    meaning: 'group that may use the read-write socket',
  },
  { flag: 'qemu-user', variable: 'CHRONOVISOR_QEMU_USER', value: 'USER', meaning: 'user that QEMU processes run as' },
  {
    flag: 'vnc-port-first',
    variable: 'CHRONOVISOR_VNC_PORT_FIRST',
    value: 'PORT',
    meaning: 'first TCP port for VNC displays',
  },
  {
    flag: 'vnc-port-last',
    variable: 'CHRONOVISOR_VNC_PORT_LAST',
    value: 'PORT',
    meaning: 'last TCP port for VNC displays',
  },
  {
    flag: 'job-wait-ms',
    variable: 'CHRONOVISOR_JOB_WAIT_MS',
    value: 'MS',
    meaning: 'longest wait for a domain that somebody else changes',
  },
  {
    flag: 'checkpoint-events',
    variable: 'CHRONOVISOR_CHECKPOINT_EVENTS',
    value: 'N',
    meaning: 'sign a checkpoint of the log after so many events',
  },
  {
    flag: 'checkpoint-minutes',
    variable: 'CHRONOVISOR_CHECKPOINT_MINUTES',
    value: 'N',
    meaning: 'sign a checkpoint after so many minutes in which there were events',
  },
  {
    flag: 'grpc',
    variable: 'CHRONOVISOR_GRPC',
    value: 'ADDRESS',
    meaning: 'serve the EventStoreDB protocol on unix:PATH or 127.0.0.1:PORT',
  },
  {
    flag: 'metrics',
    variable: 'CHRONOVISOR_METRICS',
    value: 'ADDRESS',
    meaning: 'serve metrics for Prometheus on unix:PATH or 127.0.0.1:PORT',
  },
] as const satisfies readonly Setting[]

/** A setting that cannot be used; the message names it, its value and where it came from. */
export class ConfigError extends Error {}

type Raw = Partial<Record<(typeof settings)[number]['flag'], string>>

const portText = v.pipe(v.string(), v.regex(/^\d{1,5}$/), v.transform(Number), v.minValue(1), v.maxValue(65_535))
const parsers = {
  driver: v.picklist(['auto', 'qemu', 'test']),
  'log-level': v.picklist(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
  'json-logs': v.pipe(
    v.picklist(['true', 'false', '1', '0', '']),
    v.transform((text) => text === 'true' || text === '1'),
  ),
  'vnc-port-first': portText,
  'vnc-port-last': portText,
  'job-wait-ms': v.pipe(v.string(), v.regex(/^\d{1,7}$/), v.transform(Number)),
  'checkpoint-events': v.pipe(v.string(), v.regex(/^\d{1,9}$/), v.transform(Number), v.minValue(1)),
  'checkpoint-minutes': v.pipe(
    v.string(),
    v.regex(/^\d{1,5}$/),
    v.transform(Number),
    v.minValue(1),
    v.maxValue(10_080),
  ),
}

/** Reads the configuration from flags (by their names), variables, and the file of `--config` or CHRONOVISOR_CONFIG. Throws {@link ConfigError}. */
export function readConfig(
  flags: Readonly<Record<string, string | undefined>>,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Config {
  const file = flags['config'] ?? environment['CHRONOVISOR_CONFIG']
  const fromFile = file === undefined ? {} : readFile(file)
  const raw: Raw = {}
  for (const { flag, variable } of settings) {
    const value = flags[flag] ?? environment[variable] ?? fromFile[flag]
    if (value !== undefined) raw[flag] = value
  }
  const directories = defaultDirectories(environment)
  const config: Config = {
    stateDir: resolve(raw['state-dir'] ?? directories.stateDir),
    socketDir: resolve(raw['socket-dir'] ?? directories.socketDir),
    database: raw.database === undefined || raw.database === '' ? null : raw.database,
    driver: parse(parsers.driver, { flag: 'driver', value: raw.driver ?? 'auto' }),
    logLevel: parse(parsers['log-level'], { flag: 'log-level', value: raw['log-level'] ?? 'info' }),
    jsonLogs: parse(parsers['json-logs'], { flag: 'json-logs', value: raw['json-logs'] ?? 'false' }),
    socketGroup: raw['socket-group'] ?? null,
    qemuUser: raw['qemu-user'] ?? null,
    vncPortFirst: parse(parsers['vnc-port-first'], { flag: 'vnc-port-first', value: raw['vnc-port-first'] ?? '5900' }),
    vncPortLast: parse(parsers['vnc-port-last'], { flag: 'vnc-port-last', value: raw['vnc-port-last'] ?? '6899' }),
    jobWaitMs: parse(parsers['job-wait-ms'], { flag: 'job-wait-ms', value: raw['job-wait-ms'] ?? '30000' }),
    checkpointEvents: parse(parsers['checkpoint-events'], {
      flag: 'checkpoint-events',
      value: raw['checkpoint-events'] ?? '100000',
    }),
    checkpointMinutes: parse(parsers['checkpoint-minutes'], {
      flag: 'checkpoint-minutes',
      value: raw['checkpoint-minutes'] ?? '60',
    }),
    grpc: raw.grpc === undefined || raw.grpc === '' ? null : parseListen('grpc', raw.grpc),
    metrics: raw.metrics === undefined || raw.metrics === '' ? null : parseListen('metrics', raw.metrics),
  }
  if (config.vncPortFirst > config.vncPortLast)
    throw new ConfigError(
      `Cannot use --vnc-port-first ${config.vncPortFirst}: it is above --vnc-port-last ${config.vncPortLast}`,
    )
  return config
}

/** Directories used where none are given: the system's for root, those of the XDG base directories for a user. */
export function defaultDirectories(environment: Readonly<Record<string, string | undefined>>): {
  readonly stateDir: string
  readonly socketDir: string
} {
  if (process.getuid?.() === 0) return { stateDir: '/var/lib/chronovisor', socketDir: '/run/chronovisor' }
  const home = environment['HOME'] ?? homedir()
  const stateHome = environment['XDG_STATE_HOME'] ?? join(home, '.local', 'state')
  const runtime = environment['XDG_RUNTIME_DIR']
  const stateDir = join(stateHome, 'chronovisor')
  return { stateDir, socketDir: runtime === undefined ? join(stateDir, 'run') : join(runtime, 'chronovisor') }
}

function parse<Schema extends v.GenericSchema>(
  schema: Schema,
  given: { readonly flag: string; readonly value: string },
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, given.value)
  if (result.success) return result.output
  throw new ConfigError(`Cannot use --${given.flag} "${given.value}": ${result.issues[0].message}`)
}

/** Only this machine may connect: credentials, events and figures of the host do not belong on a network. */
function parseListen(flag: 'grpc' | 'metrics', text: string): LocalListen {
  const path = /^unix:(?:\/\/(?=\/))?(.+)$/.exec(text)?.[1]
  if (path !== undefined) return { kind: 'unix', path: resolve(path) }
  const [, host, digits] = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (host !== undefined && port <= 65_535) return { kind: 'tcp', host: host === '[::1]' ? '::1' : '127.0.0.1', port }
  throw new ConfigError(
    `Cannot use --${flag} "${text}": it must be unix:PATH, 127.0.0.1:PORT or [::1]:PORT; other addresses are refused`,
  )
}

/** The file is `name = value` lines with the names of the flags; `#` begins a comment. */
function readFile(path: string): Raw {
  if (!existsSync(path)) throw new ConfigError(`Cannot read the configuration file "${path}": it does not exist`)
  const raw: Raw = {}
  for (const [at, line] of readFileSync(path, 'utf8').split('\n').entries()) {
    const text = line.replace(/(^|\s)#.*$/, '').trim()
    if (text === '') continue
    const match = /^([a-z-]+)\s*=\s*(.*)$/.exec(text)
    const setting = settings.find((one) => one.flag === match?.[1])
    if (match === null || setting === undefined) {
      throw new ConfigError(
        `Cannot use line ${at + 1} of "${path}": "${text}" is not NAME = VALUE, names are ${settings.map((one) => one.flag).join(', ')}`,
      )
    }
    raw[setting.flag] = (match[2] ?? '').replace(/^"(.*)"$/, '$1')
  }
  return raw
}
