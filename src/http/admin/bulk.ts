/** MMR's purges and quarantines of many media, and what it lacks: releases, and previews of purges. */
import type { BulkWish } from '../../media/bulk.ts'
import { preview } from '../../media/bulk.ts'
import { moderateMany } from '../../media/bulk-request.ts'
import type { Selection } from '../../media/bulk-selection.ts'
import type { Moderator } from '../../media/moderation.ts'
import { Refused } from '../../lib/errors.ts'
import { formatMxc, serverOf } from '../../matrix/ids.ts'
import { refuseOurselves } from '../account.ts'
import { type Answer, json } from '../answers.ts'
import type { Call } from '../call.ts'
import type { HttpParts } from '../parts.ts'
import { actorOf } from './moderator.ts'

const PREVIEWED = 100

/** What is asked for, by whom. */
export interface Asked {
  /** The route's name in the table of routes, for the audit log. */
  readonly action: string
  readonly selection: Selection
  readonly moderator: Moderator
  /** In ms since 1970; null: whatever there is by now. */
  readonly before?: number | null
}

/** Purges what is asked for and answers as MMR does: `total_removed` for other servers' media, else `purged` and `affected`. */
export async function purge(
  parts: HttpParts,
  call: Call,
  asked: Asked & { readonly dryRun: boolean; readonly shape: 'total' | 'affected' },
): Promise<Answer> {
  const wish = wishOf(parts, 'purge', asked)
  if (asked.dryRun) return await previewed(parts, call, wish)
  const { progress, affected, taskId } = await act(parts, call, asked.action, wish)
  const isFinished = taskId === null
  const counts = { total_removed: progress.done, bytes_removed: progress.bytes, kept: progress.kept }
  const names = asked.shape === 'affected' ? { purged: isFinished, affected } : {}
  return json({ ...names, ...counts, is_finished: isFinished, ...(isFinished ? {} : { task_id: taskId }) })
}

async function previewed(parts: HttpParts, call: Call, wish: BulkWish): Promise<Answer> {
  const { files, bytes, kept, names } = await preview(parts.db, wish, PREVIEWED, call.signal)
  const affected = names.map(formatMxc)
  return json({ dry_run: true, purged: false, total_removed: 0, files, bytes, kept, affected, is_finished: true })
}

/** Quarantines or releases what is asked for, and answers with how many names it was. */
export async function quarantineOrRelease(
  parts: HttpParts,
  call: Call,
  verb: 'quarantine' | 'release',
  asked: Asked,
): Promise<Answer> {
  const { progress, taskId } = await act(parts, call, asked.action, wishOf(parts, verb, asked))
  const isFinished = taskId === null
  const counted = verb === 'quarantine' ? { num_quarantined: progress.done } : { num_released: progress.done }
  return json({ ...counted, kept: progress.kept, is_finished: isFinished, ...(isFinished ? {} : { task_id: taskId }) })
}

function act(parts: HttpParts, call: Call, action: string, wish: BulkWish) {
  const asker = { actor: actorOf(call), action, subject: subjectOf(wish.selection) }
  return moderateMany(parts, wish, asker, { signal: call.signal })
}

function wishOf({ clock }: HttpParts, verb: BulkWish['verb'], { selection, moderator, before }: Asked): BulkWish {
  const { everywhere, serverName, userId = null } = moderator
  // What comes while it works is not meant, or it would not end.
  return { verb, selection, before: before ?? clock.now() + 1, within: { everywhere, serverName, userId } }
}

function subjectOf(selection: Selection): string {
  if (selection.by === 'user') return selection.userId
  if (selection.by === 'server') return selection.serverName
  if (selection.by === 'room') return selection.roomId
  if (selection.by === 'quarantine') return 'quarantined'
  return selection.local ? 'unused' : 'unused of other servers'
}

/** The media of a room, as the homeserver lists them to the caller. */
export async function ofRoom(parts: HttpParts, call: Call, roomId: string): Promise<Selection> {
  refuseOurselves(call)
  const { local, remote } = await parts.homeservers.roomMedia(call.homeserver, call.caller, roomId, call)
  return { by: 'room', roomId, names: [...new Set([...local, ...remote])] }
}

/** Whoever administers one homeserver decides about its users only. */
export function refuseOtherUsers({ everywhere, serverName }: Moderator, userId: string): void {
  if (!everywhere && serverOf(userId) !== serverName) throw new Refused('forbidden', otherServers)
}

/** The same of servers. */
export function refuseOtherServers({ everywhere, serverName }: Moderator, server: string): void {
  if (!everywhere && server !== serverName) throw new Refused('forbidden', otherServers)
}

const otherServers = 'Only administrators of the repository (admins) may decide about media of other homeservers'
