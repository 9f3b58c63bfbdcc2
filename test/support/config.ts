import { changesBetween } from '../../src/config/changes.ts'
import { dataOf, type Loaded } from '../../src/config/load-apart.ts'
import type { ConfigSource } from '../../src/config/load.ts'
import { loadConfig } from '../../src/config/load.ts'
import { type MainConfig, mainSchema } from '../../src/config/schema.ts'
import { createSnapshot, type Snapshot } from '../../src/config/snapshot.ts'
import { ConfigError } from '../../src/lib/errors.ts'
import { temporaryFolder } from './folder.ts'

/** Loads a folder of files; paths in what comes back are relative to it. */
export async function load(files: Readonly<Record<string, string>>, source: ConfigSource = {}) {
  await using folder = await temporaryFolder(files)
  const snapshot = await loadConfig({ ...source, path: folder.path })
  return { ...snapshot, warnings: snapshot.warnings.map((line) => line.replaceAll(`${folder.path}/`, '')) }
}

/** The problems with a folder of files. */
export async function problems(files: Readonly<Record<string, string>>): Promise<string[]> {
  await using folder = await temporaryFolder(files)
  const error = await loadConfig({ path: folder.path }).catch((cause: unknown) => cause)
  if (!(error instanceof ConfigError)) throw new Error(`expected a ConfigError, got ${String(error)}`)
  return error.problems.map((line) => line.replaceAll(`${folder.path}/`, ''))
}

/** The configuration of Redis with these servers, and everything else as it is by default. */
export function redisConfig(
  servers: readonly { readonly addr: string }[],
  options: Partial<MainConfig['redis']> = {},
): MainConfig['redis'] {
  const shards = servers.map(({ addr }) => ({ name: '', addr }))
  return { ...mainSchema.shape.redis.parse({}), enabled: true, shards, ...options }
}

/**
 * Loads as `loadApart` does, but in this process, which has the schema in memory already: a process for each of the
 * thousands of configurations that tests begin with is more work than the tests. What goes from process to process
 * is copied here too. `config-store.test.ts` and whatever starts a real server (`startServer`) have the real one.
 */
export async function loadHere(source: ConfigSource, previous?: Snapshot): Promise<Loaded> {
  const data = structuredClone(dataOf(await loadConfig(source)))
  const changes = previous ? changesBetween(dataOf(previous), data) : { live: [], restart: [] }
  return { snapshot: createSnapshot(data), changes }
}
