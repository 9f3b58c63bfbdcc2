import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import { type ConfigSource, loadConfig } from '../config/load.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { type OpenedLog, openLog } from '../lib/log.ts'
import { ConfigError, isUnwritable, messagesOf, Refused, Unavailable } from '../lib/errors.ts'
import { openOutput } from '../lib/log-output.ts'
import type { Tools } from '../app/tools.ts'
import type { Actor } from '../db/audit.ts'
import { configSource, type SourceOptions } from './config-source.ts'

const FAILED = 1
const STANDARD_ERROR = 2

/**
 * Does `work` with database and datastores of the configuration, beside a running server or without one. The signal aborts on
 * Ctrl-C; a second one ends the process. Warnings go to the error output, so that the output can be read by programs. `mayBeNew`: what
 * fills a database may make it.
 *
 * @throws {ConfigError} also when there is no database: an empty one would look healthy, and tell nothing of the server's
 */
export async function withTools(
  options: SourceOptions,
  work: (tools: Tools, signal: AbortSignal) => Promise<void>,
  { mayBeNew = false }: { readonly mayBeNew?: boolean } = {},
): Promise<void> {
  const source = configSource(options, process.env)
  const snapshot = await loadConfig(source)
  if (!mayBeNew) refuseWithoutDatabase(snapshot, source)
  await using logging = openErrorLog()
  const { openTools } = await import('../app/tools.ts')
  await using tools = await openTools(snapshot, logging.log)
  await tellingRefusals((signal) => work(tools, signal))
}

/** Does something that Ctrl-C aborts. What is refused, stopped or cannot be written is told on the error output, with status 1. */
export async function tellingRefusals(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  using interrupted = onInterrupt()
  try {
    await work(interrupted.signal)
  } catch (error) {
    if (error instanceof Unavailable) throw new ConfigError([messagesOf(error).join(': ')], { cause: error })
    const told = sentenceOf(error, interrupted.signal)
    if (told === undefined) throw error
    console.error(told)
    process.exitCode = FAILED
  }
}

/** Of what is no defect of ours. */
function sentenceOf(error: unknown, { aborted, reason }: AbortSignal): string | undefined {
  if (error instanceof Refused) return error.message
  if (aborted && error === reason) return 'It was stopped; the same command goes on where it was.'
  return isUnwritable(error) ? messagesOf(error).join(': ') : undefined
}

function refuseWithoutDatabase({ main }: Snapshot, { path }: ConfigSource): void {
  const { postgres, sqlite } = main.database
  if (postgres !== '' || existsSync(sqlite)) return
  const missing = `there is no database ${resolve(sqlite)}`
  const what = path
    ? `which ${path} names: the server makes it when it first starts; start it, or give its own folder (--data FOLDER)`
    : 'and no configuration that names another: give --config FILE (or set REPO_CONFIG), or --data FOLDER'
  throw new ConfigError([`${missing}, ${what}`])
}

/** Who uses the command line, for the audit log. */
export function commandLine(): Actor {
  return { by: `cli:${accountName()}`, address: null, requestId: null }
}

/** In containers the account may have a number and no name. */
function accountName(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? '')
  }
}

/** A log of warnings and worse, on the error output; without stacks, which say nothing to whoever types commands. */
export function openErrorLog(): OpenedLog {
  const options = { logDirectory: '-', logColors: false, jsonLogs: false, logLevel: 'warning' }
  return openLog(options, { terminal: openOutput(STANDARD_ERROR), stacks: false })
}

/** A signal that aborts on Ctrl-C; a second one ends the process. */
export function onInterrupt(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController()
  const stop = () => controller.abort()
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const name of signals) process.once(name, stop)
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const name of signals) process.off(name, stop)
    },
  }
}
