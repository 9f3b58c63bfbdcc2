import type { Logger } from 'pino'

/** A structured log; children carry the request's fields. */
export type Log = Logger
