import type { ConfigSource } from '../config/load.ts'
import { ConfigError } from '../lib/errors.ts'

/** Exit status when the configuration cannot be used. */
const CONFIG_UNUSABLE = 2

/**
 * Says why the configuration cannot be used, and ends the process with status 2 in time, or with `whatMayPass` if what it names cannot be had
 * at the moment; other errors are thrown on.
 */
export function reportUnusable(error: unknown, whatMayPass = CONFIG_UNUSABLE): void {
  if (!(error instanceof ConfigError)) throw error
  for (const warning of error.warnings) console.error(`warning: ${warning}`)
  for (const problem of error.problems) console.error(problem)
  process.exitCode = error.mayPass ? whatMayPass : CONFIG_UNUSABLE
}

export interface SourceOptions {
  readonly config?: string
  readonly data?: string
}

/**
 * Where the configuration comes from: a flag wins over the environment (REPO_CONFIG, CELLARIUM_DATA), and that over the
 * defaults. (In MMR REPO_CONFIG wins over its flag.) An empty variable counts as none.
 */
export function configSource(options: SourceOptions, environment: NodeJS.ProcessEnv): ConfigSource {
  const { REPO_CONFIG, CELLARIUM_DATA, CELLARIUM_SERVER_NAME, CELLARIUM_CS_API } = environment
  return {
    path: options.config ?? (REPO_CONFIG || undefined),
    dataPath: options.data ?? (CELLARIUM_DATA || undefined),
    serverName: CELLARIUM_SERVER_NAME || undefined,
    csApi: CELLARIUM_CS_API || undefined,
  }
}
