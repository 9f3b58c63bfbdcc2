import { loadConfig } from '../config/load.ts'
import { type OpenedLog, openLog } from '../lib/log.ts'
import { Refused } from '../lib/errors.ts'
import { openOutput } from '../lib/log-output.ts'
import type { Tools } from '../app.ts'
import { configSource, type SourceOptions } from './config-source.ts'

const FAILED = 1
const STANDARD_ERROR = 2

/**
 * Does `work` with database and datastores of the configuration, beside a running server or without one. The signal aborts on
 * Ctrl-C; a second one ends the process. Warnings go to the error output, so that the output can be read by programs.
 */
export async function withTools(
  options: SourceOptions,
  work: (tools: Tools, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const snapshot = await loadConfig(configSource(options, process.env))
  await using logging = openErrorLog()
  const { openTools } = await import('../app.ts')
  await using tools = await openTools(snapshot, logging.log)
  using interrupted = onInterrupt()
  try {
    await work(tools, interrupted.signal)
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    console.error(error.message)
    process.exitCode = FAILED
  }
}

function openErrorLog(): OpenedLog {
  const options = { logDirectory: '-', logColors: false, jsonLogs: false, logLevel: 'warning' }
  return openLog(options, { terminal: openOutput(STANDARD_ERROR) })
}

function onInterrupt(): Disposable & { readonly signal: AbortSignal } {
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
