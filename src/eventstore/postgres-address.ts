/** How to reach a PostgreSQL (15 or newer): a URL, or its parts; `host` may be the directory of a UNIX socket. */
export interface PostgresAddress {
  readonly connectionString?: string
  readonly host?: string
  readonly port?: number
  readonly database?: string
  readonly user?: string
  readonly password?: string
}
