import { type Candidate, leastRecentlyUsed, oldest, quarantined, START, uploadsOf } from '../db/candidates.ts'
import type { Name } from '../db/deletion.ts'
import type { Queryable } from '../db/query.ts'
import type { MediaKind } from '../db/schema.ts'
import { parseMxc } from '../matrix/ids.ts'

/** Which media are meant. A type, so that it counts as JSON: tasks remember it. */
export type Selection =
  /** What nobody has used for long: of other servers, and with `local` ours too. Without what is quarantined. */
  | { readonly by: 'last_use'; readonly local: boolean }
  /** Whatever is quarantined. */
  | { readonly by: 'quarantine' }
  | { readonly by: 'user'; readonly userId: string }
  | { readonly by: 'server'; readonly serverName: string }
  /** What the homeserver names of a room, as MXC URIs. */
  | { readonly by: 'room'; readonly roomId: string; readonly names: readonly string[] }

/** How far somebody has come with a selection. */
export type Position = {
  /** Of a selection by last use the kind of media, of a room the number of its next name. */
  readonly part: number
  /** The last candidate of the page before. */
  readonly at: number
  readonly origin: string
  readonly mediaId: string
}

export const FIRST: Position = { part: 0, ...START }

export interface SelectedPage {
  readonly names: readonly Name[]
  /** Where the next page begins; undefined: there is none. */
  readonly next: Position | undefined
}

/**
 * The next names of a selection, as they stand in an index (docs/decisions/016). `before` is the time before which they were last
 * used, quarantined, or made, in ms since 1970; for rooms it is left to whoever looks at the media themselves.
 */
export async function pageOf(
  db: Queryable,
  selection: Selection,
  before: number,
  position: Position,
  limit: number,
): Promise<SelectedPage> {
  if (selection.by === 'room') return pageOfNames(selection.names, position, limit)
  const { part, ...after } = position
  const page = await candidates(db, selection, part, { before, after, limit })
  const last = page.at(-1)
  if (last && page.length === limit) return { names: page, next: { part, ...last } }
  const isLast = part + 1 >= kindsOf(selection).length
  return { names: page, next: isLast ? undefined : { part: part + 1, ...START } }
}

async function candidates(
  db: Queryable,
  selection: Exclude<Selection, { by: 'room' }>,
  part: number,
  page: { readonly before: number; readonly after: Candidate; readonly limit: number },
): Promise<Candidate[]> {
  const { by } = selection
  if (by === 'quarantine') return await quarantined(db, page)
  if (by === 'user') return await uploadsOf(db, { ...page, uploader: selection.userId })
  if (by === 'server') return await oldest(db, { ...page, origin: selection.serverName })
  return await leastRecentlyUsed(db, { ...page, kind: kindsOf(selection)[part] ?? 'remote' })
}

function kindsOf(selection: Selection): readonly MediaKind[] {
  return selection.by === 'last_use' && selection.local ? ['remote', 'upload', 'preview'] : ['remote']
}

function pageOfNames(names: readonly string[], { part, ...position }: Position, limit: number): SelectedPage {
  const end = part + limit
  const some = names.slice(part, end).flatMap((name) => parseMxc(name) ?? [])
  return { names: some, next: end < names.length ? { ...position, part: end } : undefined }
}
