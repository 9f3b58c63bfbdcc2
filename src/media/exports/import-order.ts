import type { Actor } from '../../db/audit.ts'
import {
  addArchiveImport,
  addUploadedPart,
  closeArchiveImport,
  findArchiveImport,
  type UploadedPart,
} from '../../db/archive-imports.ts'
import type { Database } from '../../db/connect.ts'
import type { HomeserverConfig } from '../../config/schema.ts'
import type { Notifier } from '../../coordination/notifier.ts'
import { DatabaseUnavailable, Refused } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { auditedWrite, type AuditParts } from '../audit.ts'
import { chooseDatastore, type ChooseParts } from '../choose.ts'

export interface ImportOrderParts extends AuditParts, ChooseParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly notifier: Pick<Notifier, 'notify'>
  readonly log: Log
  /** Makes a text that nobody else has. */
  readonly newToken: () => string
}

/** MMR's name of the task. */
export const IMPORT_TASK = 'import_data'

interface Received {
  readonly actor: Actor
  readonly homeserver: Pick<HomeserverConfig, 'datastores'>
  readonly body: AsyncIterable<Uint8Array>
  readonly expectedBytes: number | undefined
}

/** Receives the first file of an archive, and begins the task that imports it. */
export async function beginImport(
  parts: ImportOrderParts,
  received: Received,
): Promise<{ readonly importId: string; readonly taskId: number }> {
  const { newToken, clock, notifier } = parts
  const importId = newToken()
  const what = { action: 'start_import', subject: importId }
  const task = { name: IMPORT_TASK, params: { import_id: importId } }
  const taskId = await withFile(parts, received, async (first) => {
    const order = { importId, at: clock.now(), first, task }
    return await auditedWrite(parts, received.actor, what, addArchiveImport, order, () => null)
  })
  notifier.notify('tasks', String(taskId))
  return { importId, taskId }
}

/**
 * Receives one more file.
 *
 * @throws {Refused} `not_found`; `bad_request` for an import that is closed
 */
export async function addToImport(parts: ImportOrderParts, importId: string, received: Received): Promise<void> {
  const { clock, notifier } = parts
  await openImportOf(parts, importId)
  const what = { action: 'append_to_import', subject: importId }
  await withFile(parts, received, async (file) => {
    const order = { importId, at: clock.now(), file }
    const added = await auditedWrite(parts, received.actor, what, addUploadedPart, order, () => null)
    if (added === 'not_found') throw noSuchImport()
    if (added === 'closed') throw isClosed()
  })
  notifier.notify('tasks', importId)
}

/**
 * No more files come: what is there is imported.
 *
 * @throws {Refused} `not_found`
 */
export async function closeImport(parts: ImportOrderParts, actor: Actor, importId: string): Promise<void> {
  if (!(await findArchiveImport(parts.db.read, importId))) throw noSuchImport()
  const what = { action: 'stop_import', subject: importId }
  const order = { importId, at: parts.clock.now() }
  const isThere = await auditedWrite(parts, actor, what, closeArchiveImport, order, () => null)
  if (!isThere) throw noSuchImport()
  parts.notifier.notify('tasks', importId)
}

/** Asked before a body is received, and before a line is written. */
async function openImportOf({ db }: ImportOrderParts, importId: string): Promise<void> {
  const found = await findArchiveImport(db.read, importId)
  if (!found) throw noSuchImport()
  if (found.closedAt !== null) throw isClosed()
}

const isClosed = () => new Refused('bad_request', 'The import is closed: begin another')
const noSuchImport = () => new Refused('not_found', 'There is no such import: it is done, or was given up')

/** Puts a file where archives are kept; it is deleted again, if nothing came of it. */
async function withFile<Result>(
  parts: ImportOrderParts,
  { homeserver, body, expectedBytes }: Received,
  commit: (file: UploadedPart) => Promise<Result>,
): Promise<Result> {
  const datastore = await chooseDatastore(parts, 'archives', homeserver.datastores)
  await using staged = await datastore.stage(body, { maxBytes: 0, expectedBytes })
  const { size, sha256 } = staged
  if (size === 0) throw new Refused('bad_request', 'The body is empty: send a file of an archive')
  const location = await datastore.put(staged, { contentType: 'application/gzip' })
  try {
    return await commit({ size, sha256, datastore: datastore.id, location })
  } catch (error) {
    // A commit of which nobody knows may be made yet.
    if (error instanceof DatabaseUnavailable && error.mayCommit) throw error
    await datastore.delete(location).catch((cause: unknown) => {
      parts.log.warn({ err: cause, location }, 'a file of an import is left that no record names; a sweep finds it')
    })
    throw error
  }
}
