/** The media that a Dendrite knows of, its own and other servers', read from its one table. */
import { type ForeignDatabase, numberOrNull, type Row, textOf } from '../foreign-database.ts'
import { storePath } from '../store-path.ts'

/** A row. Times in ms since 1970. */
export interface DendriteMedia {
  readonly origin: string
  readonly mediaId: string
  readonly contentType: string
  readonly size: number
  readonly createdAt: number
  /** As it was sent; null: none. */
  readonly uploadName: string | null
  /** Null: another server's. */
  readonly userId: string | null
  /** SHA-256 as Dendrite writes it: base64 for URLs, without padding. */
  readonly base64Hash: string
}

/** Behind which row to go on. */
export type DendritePlace = readonly [mediaId: string, origin: string]

export const DENDRITE_START: DendritePlace = ['', '']

const TABLE = 'mediaapi_media_repository'
const COLUMNS = 'media_id, media_origin, content_type, file_size_bytes, creation_ts, upload_name, base64hash, user_id'

/** @throws where the database is not one of Dendrite's media API */
export async function checkDendriteTables(db: ForeignDatabase): Promise<void> {
  const columns = await db.columns(TABLE)
  if (columns.has('base64hash')) return
  throw new Error(`${db.name} is no database of Dendrite's media API: it has no table ${TABLE}`)
}

/** How many rows there are now. */
export async function countDendriteMedia(db: ForeignDatabase): Promise<number> {
  const [row] = await db.query(`SELECT count(*) AS rows FROM ${TABLE}`)
  return row ? (numberOrNull(row, 'rows') ?? 0) : 0
}

/** Some server whose users have media here: it is this homeserver. */
export async function someOrigin(db: ForeignDatabase): Promise<string | undefined> {
  const [row] = await db.query(`SELECT media_origin FROM ${TABLE} WHERE user_id LIKE '@%' LIMIT 1`)
  return row && textOf(row, 'media_origin')
}

/** Up to `limit` rows behind `after`, in the order of the table's own index: each page costs the same. */
export async function dendritePage(
  db: ForeignDatabase,
  [mediaId, origin]: DendritePlace,
  limit: number,
): Promise<DendriteMedia[]> {
  const rows = await db.query(
    `SELECT ${COLUMNS} FROM ${TABLE}
     WHERE (media_id, media_origin) > ($1, $2) ORDER BY media_id, media_origin LIMIT $3`,
    [mediaId, origin, limit],
  )
  return rows.map(mediaOf)
}

const mediaOf = (row: Row): DendriteMedia => ({
  origin: textOf(row, 'media_origin'),
  mediaId: textOf(row, 'media_id'),
  contentType: textOf(row, 'content_type'),
  size: numberOrNull(row, 'file_size_bytes') ?? 0,
  createdAt: numberOrNull(row, 'creation_ts') ?? 0,
  uploadName: unescaped(textOf(row, 'upload_name')),
  userId: textOf(row, 'user_id') || null,
  base64Hash: textOf(row, 'base64hash'),
})

/** Names are escaped as in the path of an address; what is not, is as it is. */
function unescaped(name: string): string | null {
  try {
    return decodeURIComponent(name) || null
  } catch {
    return name
  }
}

/** `a/b/cdef…/file` below `base_path`; undefined where the hash is none. */
export function dendritePath(base64Hash: string): string | undefined {
  return hexOf(base64Hash) && storePath(base64Hash.slice(0, 1), base64Hash.slice(1, 2), base64Hash.slice(2), 'file')
}

/** The hash in lower-case hex, if it is a SHA-256. */
export function hexOf(base64Hash: string): string | undefined {
  if (!/^[\w-]{43}$/.test(base64Hash)) return undefined
  return Buffer.from(base64Hash, 'base64url').toString('hex')
}
