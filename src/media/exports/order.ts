import type { Actor } from '../../db/audit.ts'
import type { Database } from '../../db/connect.ts'
import { addExport, deleteExport, type Export, findExport } from '../../db/exports.ts'
import type { Notifier } from '../../coordination/notifier.ts'
import { Refused } from '../../lib/errors.ts'
import { serverOf } from '../../matrix/ids.ts'
import { auditedWrite, type AuditParts } from '../audit.ts'

export interface ExportOrderParts extends AuditParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly notifier: Pick<Notifier, 'notify'>
  /** Makes a text that nobody else has, and that nobody can guess. */
  readonly newToken: () => string
}

/** MMR's name of the task. */
export const EXPORT_TASK = 'export_data'

const DAY_MS = 24 * 3_600_000

export interface ExportOrder {
  /** A user id or a server name. */
  readonly entity: string
  readonly withS3Urls: boolean
  /** After how many days it is deleted; 0: never. */
  readonly keptDays: number
}

/** Has all media of a user or a server exported, by a task; gives the id by which whoever knows it may have the archive. */
export async function orderExport(
  parts: ExportOrderParts,
  actor: Actor,
  { entity, withS3Urls, keptDays }: ExportOrder,
): Promise<{ readonly exportId: string; readonly taskId: number }> {
  const { newToken, clock, notifier } = parts
  const exportId = newToken()
  const createdAt = clock.now()
  const isUser = entity.startsWith('@')
  const params = { [isUser ? 'user_id' : 'server_name']: entity, export_id: exportId, include_s3_urls: withS3Urls }
  const what = { action: isUser ? 'export_user_data' : 'export_server_data', subject: entity }
  const expiresAt = keptDays === 0 ? null : createdAt + keptDays * DAY_MS
  const task = { name: EXPORT_TASK, params }
  const order = { exportId, entity, withS3Urls, createdAt, expiresAt, task }
  const taskId = await auditedWrite(parts, actor, what, addExport, order, () => null)
  notifier.notify('tasks', String(taskId))
  return { exportId, taskId }
}

/**
 * An export whose time is not over.
 *
 * @throws {Refused} `not_found`
 */
export async function exportOf(
  { db, clock }: Pick<ExportOrderParts, 'db' | 'clock'>,
  exportId: string,
): Promise<Export> {
  const found = await findExport(db.read, exportId)
  if (!found || (found.expiresAt !== null && found.expiresAt <= clock.now())) throw noSuchExport()
  return found
}

/**
 * Deletes an export.
 *
 * @throws {Refused} `not_found`
 */
export async function orderDeletion(parts: ExportOrderParts, actor: Actor, exportId: string): Promise<void> {
  const { entity } = await exportOf(parts, exportId)
  const what = { action: 'delete_export', subject: entity }
  if (!(await auditedWrite(parts, actor, what, deleteExport, { exportId }, Number))) throw noSuchExport()
}

const noSuchExport = () => new Refused('not_found', 'There is no such export: it was deleted, or its time is over')

/** The homeserver whose users or whose own media these are. */
export const serverOfEntity = (entity: string): string => (entity.startsWith('@') ? (serverOf(entity) ?? '') : entity)
