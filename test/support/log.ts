import { pino } from 'pino'
import type { Log } from '../../src/lib/log.ts'

export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly [field: string]: unknown
}

/** A log whose lines a test can read. */
export function recordingLog(): { readonly log: Log; readonly lines: LogLine[] } {
  const lines: LogLine[] = []
  return { log: pino({ level: 'trace' }, { write: (line: string) => void lines.push(JSON.parse(line)) }), lines }
}
