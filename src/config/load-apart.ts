import { fork } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '../lib/errors.ts'
import type { Changes } from './changes.ts'
import type { ConfigSource } from './load.ts'
import { createSnapshot, type Snapshot, type SnapshotData } from './snapshot.ts'

export interface Task {
  readonly source: ConfigSource
  /** What holds now, to tell what will change; undefined at the start. */
  readonly previous: SnapshotData | undefined
}

export type Outcome =
  | { readonly data: SnapshotData; readonly changes: Changes }
  | { readonly problems: readonly string[]; readonly warnings: readonly string[] }
  | { readonly failed: unknown }

export interface Loaded {
  readonly snapshot: Snapshot
  /** What differs from the previous one; nothing if there is none. */
  readonly changes: Changes
}

/**
 * Loads the configuration in a process that ends afterwards. Requests do not wait for it, and the memory that reading and
 * checking a configuration takes (some 50 MiB, much of it for good) is not the server's. Throws as `loadConfig`.
 */
export async function loadApart(source: ConfigSource, previous?: Snapshot): Promise<Loaded> {
  const file = new URL(`./load-process${extname(import.meta.url)}`, import.meta.url)
  const child = fork(fileURLToPath(file), { serialization: 'advanced', execArgv: [] })
  const ended = once(child, 'exit')
  const task: Task = { source, previous: previous && dataOf(previous) }
  child.send(task)
  const answered = once(child, 'message')
  await Promise.race([answered, ended.then(([code]) => endedEarly(code))])
  const [outcome] = (await answered) as [Outcome]
  await ended
  return read(outcome)
}

function endedEarly(code: unknown): never {
  throw new Error(`the process that loads the configuration ended without an answer (${String(code)})`)
}

function read(outcome: Outcome): Loaded {
  if ('problems' in outcome) throw new ConfigError(outcome.problems, { warnings: outcome.warnings })
  if ('failed' in outcome) throw outcome.failed
  return { snapshot: createSnapshot(outcome.data), changes: outcome.changes }
}

/** The snapshot without its function, which cannot be sent to another process. */
export function dataOf(snapshot: Snapshot): SnapshotData {
  const { main, homeservers, datastores, warnings, withoutEffect } = snapshot
  return { main, homeservers, datastores, warnings, withoutEffect }
}
