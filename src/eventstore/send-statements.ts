import type { ClientBase, Connection, Submittable } from 'pg'
import type { CommitStatement } from './commit-participant.ts'
import { messageOf, UnsentError } from './postgres-failure.ts'
import { ProtocolWriter } from './protocol-writer.ts'

const maxPrepared = 256

/**
 * Statements in parts, each made when it is asked for: what is yielded is sent at once, so that the server works on it while the next
 * part is made; what is returned comes last.
 */
export type StatementParts = () => Iterator<readonly CommitStatement[], readonly CommitStatement[]>

/**
 * Runs statements one after the other in one transaction of their own, sent in one go: one round trip however many they are. All or
 * nothing of them; where one changes another number of rows than it says, nothing. With `prepared`, which belongs to this very
 * connection, each is planned once.
 */
export function sendStatements(
  client: Pick<ClientBase, 'query'>,
  statements: readonly CommitStatement[],
  prepared?: PreparedStatements,
): Promise<void> {
  return sendParts(client, () => ({ next: () => ({ done: true, value: statements }) }), prepared)
}

/** The same for statements in parts. Throws {@link UnsentError} where one cannot be made. */
export function sendParts(
  client: Pick<ClientBase, 'query'>,
  parts: StatementParts,
  prepared = new PreparedStatements(0),
): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query(new Pipeline(parts, { prepared, callback: (error) => (error ? reject(error) : resolve()) }))
  })
}

/** What a connection has planned; bounded, since nothing is ever given back. */
export class PreparedStatements {
  readonly writer = new ProtocolWriter()
  readonly #plain = new Map<string, string>()
  readonly #counted = new Map<string, string>()
  readonly #most: number
  #named = 0

  constructor(most = maxPrepared) {
    this.#most = most
  }

  nameOf(statement: CommitStatement): string | undefined {
    return this.#names(statement).get(statement.sql)
  }

  /** A name that was never used on this connection; the empty one, which is planned anew each time, where there are enough. */
  newName(): string {
    if (this.#named >= this.#most) return ''
    this.#named += 1
    return `s${String(this.#named).padStart(4, '0')}`
  }

  add(statement: CommitStatement, name: string): void {
    if (name !== '') this.#names(statement).set(statement.sql, name)
  }

  #names({ expectedRows }: CommitStatement): Map<string, string> {
    return expectedRows === null ? this.#plain : this.#counted
  }
}

interface PipelineParts {
  readonly prepared: PreparedStatements
  readonly callback: (error: Error | null) => void
}

interface Parsed {
  readonly statement: CommitStatement
  readonly name: string
}

/** Several statements as a query of `pg`, which calls `callback` by that name, and wraps it where a query has a time limit. */
class Pipeline implements Submittable {
  callback: PipelineParts['callback']
  readonly #parts: StatementParts
  readonly #prepared: PreparedStatements
  readonly #parsed: Parsed[] = []
  #unsent: UnsentError | null = null
  #failed = false

  constructor(parts: StatementParts, { prepared, callback }: PipelineParts) {
    this.#parts = parts
    this.#prepared = prepared
    this.callback = callback
  }

  submit(connection: Connection): void {
    const { writer } = this.#prepared
    writer.begin()
    try {
      const parts = this.#parts()
      let step = parts.next()
      for (; step.done !== true; step = parts.next()) {
        this.#add(step.value)
        connection.stream.write(writer.take())
      }
      this.#add(step.value)
    } catch (error) {
      // What was sent already is part of a transaction, which the end of the dialogue would commit.
      this.#unsent = new UnsentError(messageOf(error), { cause: error })
      writer.rewind()
      writer.parse('', 'a part of the transaction could not be made')
    }
    writer.sync()
    connection.stream.write(writer.take())
  }

  handleError(error: Error): void {
    this.#failed = true
    this.callback(this.#unsent ?? error)
  }

  handleReadyForQuery(): void {
    if (this.#failed) return
    // After a failure nobody would know which of the new names the server has taken: those are never used again.
    for (const { statement, name } of this.#parsed) this.#prepared.add(statement, name)
    this.callback(null)
  }

  handleRowDescription(): void {}

  handleDataRow(): void {}

  handleCommandComplete(): void {}

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}

  #add(statements: readonly CommitStatement[]): void {
    const { writer } = this.#prepared
    for (const statement of statements) {
      writer.bind(this.#prepared.nameOf(statement) ?? this.#parse(statement), boundValues(statement))
      writer.execute()
    }
  }

  #parse(statement: CommitStatement): string {
    const name = this.#prepared.newName()
    this.#prepared.writer.parse(name, textOf(statement))
    this.#parsed.push({ statement, name })
    return name
  }
}

/** The text as it is run: where a number of rows is expected, it fails with any other. */
function textOf({ name, sql, values, expectedRows }: CommitStatement): string {
  if (expectedRows === null) return sql
  return `with changed as (${sql}) select log_assert(count(*) = $${values.length + 1}::int8, '${name}') from changed`
}

function boundValues({ values, expectedRows }: CommitStatement): CommitStatement['values'] {
  return expectedRows === null ? values : [...values, String(expectedRows)]
}
