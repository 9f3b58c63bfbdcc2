import type { Availability } from '../lib/availability.ts'
import { DatabaseUnavailable } from '../lib/errors.ts'

/**
 * What an error says about the database. `down`: it cannot be used by anybody. `busy`: this call could not be done in time, or
 * has to wait for others.
 */
type Trouble = 'down' | 'busy'

/** SQLite's result codes (sqlite.org/rescode.html): BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL. */
const SQLITE: Readonly<Record<number, Trouble>> = {
  5: 'busy',
  6: 'busy',
  7: 'busy',
  8: 'down',
  10: 'down',
  13: 'down',
  14: 'down',
  15: 'busy',
}

/** PostgreSQL's codes (documentation, appendix A) that are no connection's end: of the server, and of one call. */
const POSTGRES: Readonly<Record<string, Trouble>> = {
  // Disk full, out of memory, too many connections; read-only, as a standby is until it takes over.
  '53100': 'down',
  '53200': 'busy',
  '53300': 'down',
  '25006': 'down',
  // Shutting down, crashed, starting up, the database dropped under us.
  '57P01': 'down',
  '57P02': 'down',
  '57P03': 'down',
  '57P05': 'busy',
  '25P03': 'busy',
  '25P04': 'busy',
  // A statement or a lock took too long; conflicts that went on for all attempts.
  '57014': 'busy',
  '55P03': 'busy',
  '40001': 'busy',
  '40P01': 'busy',
  // The database, the user or its rights are gone, or its password is another now.
  '3D000': 'down',
  '28000': 'down',
  '28P01': 'down',
  '42501': 'down',
  // An I/O error of the server's disk.
  '58030': 'down',
}

/** What the client library says without any code. */
const LOST = [
  /^Connection terminated/,
  /^timeout exceeded when trying to connect$/,
  /^Client has encountered a connection error and is not queryable$/,
  /^Query read timeout$/,
]

/**
 * A transaction that stood still too long, or took too long: the server ends the connection. A read-only server: after a
 * failover the next connection may reach the new one.
 */
const ENDS = new Set(['25P03', '25P04', '25006'])

/** Whether the connection itself ended, so that nothing further can be asked on it. */
export function isLostConnection(error: unknown): boolean {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
  if (typeof code === 'string') return isSystemCode(code) || /^(08...|57P0.)$/.test(code) || ENDS.has(code)
  return LOST.some((pattern) => pattern.test(String(message)))
}

/** What was being asked when it failed. */
interface Asked {
  /** A commit: where its connection is lost, nobody knows whether it is made. */
  readonly isCommit: boolean
}

/** The error as callers of a database see it, after `availability` was told of an outage. What is none stays as it is. */
export function noteFailure(availability: Availability, error: unknown, asked: Asked = { isCommit: false }): unknown {
  const trouble = troubleOf(error)
  if (trouble === undefined) return error
  if (trouble === 'down') availability.failed(error)
  const mayCommit = asked.isCommit && isLostConnection(error)
  const message = 'the database cannot be used at the moment; please try again'
  return new DatabaseUnavailable(message, { cause: error, mayCommit })
}

function troubleOf(error: unknown): Trouble | undefined {
  if (!(error instanceof Error)) return undefined
  if (error instanceof AggregateError) return error.errors.map(troubleOf).find((trouble) => trouble !== undefined)
  const { code, errcode } = error as { readonly code?: unknown; readonly errcode?: unknown }
  // The low byte is the code, the rest its particulars.
  if (typeof errcode === 'number') return SQLITE[errcode & 0xff]
  if (isLostConnection(error)) return typeof code === 'string' ? (POSTGRES[code] ?? 'down') : 'down'
  return typeof code === 'string' ? POSTGRES[code] : undefined
}

/** `ECONNREFUSED`, `EAI_AGAIN`, `EPIPE`; not Node's own `ERR_…`. */
function isSystemCode(code: string): boolean {
  return /^E(AI_)?[A-Z]{3,}$/.test(code)
}
