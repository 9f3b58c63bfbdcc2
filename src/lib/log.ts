import type { Logger } from 'pino'
import { pino } from 'pino'

import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import { ConfigError, messagesOf } from './errors.ts'
import { openDailyFiles } from './log-files.ts'
import type { Output } from './log-output.ts'
import { openOutput } from './log-output.ts'
import { fieldsToText, type LineFields, toColouredText, toText } from './log-text.ts'
import { redact } from './redact.ts'

/** A structured log; children carry the request's fields. */
export type Log = Logger

const DIRECT = Symbol('writes a line past pino')

interface Direct {
  /** Children of this log have fields of their own that pino adds. */
  readonly of: Log
  readonly write: (fields: LineFields, message: string) => void
}

/**
 * As `log.info`, for the line that each request has: put together by hand where lines are text, because pino's JSON and the way
 * back from it cost a tenth of a small download.
 */
export function logDirectly(log: Log & { readonly [DIRECT]?: Direct }, fields: LineFields, message: string): void {
  const direct = log[DIRECT]
  if (direct?.of !== log) log.info(fields, message)
  else if (log.isLevelEnabled('info')) direct.write(fields, message)
}

/** MMR's `repo.log…` keys. */
export interface LogOptions {
  /** Folder of the daily files; '' or '-' for the terminal only. */
  readonly logDirectory: string
  /** Colours in text on the terminal; files never have them. */
  readonly logColors: boolean
  /** One JSON object a line instead of text. */
  readonly jsonLogs: boolean
  /** `panic`, `fatal`, `error`, `warning` (or `warn`), `info`, `debug` or `trace`. */
  readonly logLevel: string
}

export interface LogParts {
  readonly clock?: Clock
  /** Where the lines go that MMR writes to the terminal; standard output if not given. */
  readonly terminal?: Output
  /** Whether errors have their stacks; they do if not given. */
  readonly stacks?: boolean
}

export interface OpenedLog extends AsyncDisposable {
  readonly log: Log
  /** Writes at once what is waiting; for the last words of a process that is about to end. */
  flushSync(): void
}

/** pino's name of each level by MMR's (logrus's) name. pino has nothing above fatal. */
const LEVELS: Readonly<Record<string, string>> = {
  panic: 'fatal',
  fatal: 'fatal',
  error: 'error',
  warning: 'warn',
  warn: 'warn',
  info: 'info',
  debug: 'debug',
  trace: 'trace',
}

const STANDARD_OUTPUT = 1

/** What JSON leaves as it is, but a terminal or an editor obeys: DEL, C1 codes, line separators, text direction. */
const UNSEEN = /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/

/**
 * Opens the log: standard output and, with `logDirectory`, daily files beside it. A folder that cannot be written is one
 * warning, not an error. Lines wait up to 100 ms to be written together; disposing (or the end of the process) writes them.
 * Secrets (see redact.ts) and control characters never get through. Throws `ConfigError` for an unknown level.
 */
export function openLog(options: LogOptions, parts: LogParts = {}): OpenedLog {
  const clock = parts.clock ?? systemClock
  const level = pinoLevel(options.logLevel)
  const outputs = new Outputs(options, parts.terminal ?? standardOutput(() => log))
  const log: Log = pino(
    {
      level,
      base: null,
      timestamp: timestamps(clock),
      formatters: { level: (label) => ({ level: label === 'warn' ? 'warning' : label }) },
      serializers: { err: (error: unknown) => errorFields(error, parts.stacks ?? true) },
    },
    outputs,
  )
  if (!options.jsonLogs && !options.logColors) {
    const time = isoTimes(clock)
    const write: Direct['write'] = (fields, message) => outputs.writeText(fieldsToText(time(), 'info', fields, message))
    const direct: Direct = { of: log, write }
    Object.assign(log, { [DIRECT]: direct })
  }
  outputs.openFiles(options.logDirectory, clock, log)
  return {
    log,
    flushSync: () => outputs.flushSync(),
    [Symbol.asyncDispose]: () => outputs.close(),
  }
}

/** As pino's own, but what a cause repeats is said once. */
function errorFields(error: unknown, stacks: boolean): unknown {
  if (!(error instanceof Error)) return error
  const { stack, ...fields } = pino.stdSerializers.err(error)
  return { ...fields, message: messagesOf(error).join(': '), ...(stacks && { stack }) }
}

/** pino's level for one of MMR's names, in any case; throws `ConfigError` for another word. */
export function pinoLevel(name: string): string {
  const level = LEVELS[name.toLowerCase()]
  if (level) return level
  throw new ConfigError([`repo.logLevel: "${name}" is none of ${Object.keys(LEVELS).join(', ')}`])
}

/** pino's destination: makes each line presentable and gives it to the terminal and the file. */
class Outputs {
  readonly #format: (line: string) => string
  readonly #formatTerminal: (line: string) => string
  readonly #terminal: Output
  #files: Output | undefined

  constructor(options: LogOptions, terminal: Output) {
    this.#terminal = terminal
    this.#format = options.jsonLogs ? (line) => line : toText
    this.#formatTerminal = options.logColors && !options.jsonLogs ? toColouredText : this.#format
  }

  openFiles(folder: string, clock: Clock, log: Log): void {
    if (folder === '' || folder === '-') return
    const onProblem = (message: string, err: unknown) => log.warn({ err }, message)
    const output = { onError: (err: Error) => onProblem(`cannot write to the log files in "${folder}"`, err) }
    try {
      this.#files = openDailyFiles(folder, { clock, onProblem, output })
    } catch (error) {
      onProblem(`repo.logDirectory: cannot write to "${folder}", logging to the terminal only`, error)
    }
  }

  write(line: string): void {
    const clean = redact(withoutUnseen(line))
    const text = this.#format(clean)
    this.#files?.write(text)
    this.#terminal.write(this.#formatTerminal === this.#format ? text : this.#formatTerminal(clean))
  }

  /** Takes a line of text from elsewhere than pino. */
  writeText(line: string): void {
    const text = redact(withoutUnseen(line))
    this.#files?.write(text)
    this.#terminal.write(text)
  }

  /** pino calls this after each fatal line. */
  flushSync(): void {
    this.#files?.flushSync()
    this.#terminal.flushSync()
  }

  async close(): Promise<void> {
    await Promise.all([this.#files?.close(), this.#terminal.close()])
  }
}

/** With nobody reading the terminal there is nobody to tell of its errors; dropped lines are told when they can be. */
function standardOutput(log: () => Log): Output {
  return openOutput(STANDARD_OUTPUT, {
    onDropped: (lines) => log().warn({ lines }, 'log lines were dropped: what reads standard output is too slow'),
  })
}

function withoutUnseen(line: string): string {
  if (!UNSEEN.test(line)) return line
  return line.replace(new RegExp(UNSEEN, 'g'), (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** pino's `time` member. */
function timestamps(clock: Clock): () => string {
  const time = isoTimes(clock)
  return () => `,"time":"${time()}"`
}

/** The text of a millisecond is made once, since busy ones have a dozen lines. */
function isoTimes(clock: Clock): () => string {
  let last = Number.NaN
  let text = ''
  return () => {
    const now = clock.now()
    if (now !== last) {
      last = now
      text = new Date(now).toISOString()
    }
    return text
  }
}
