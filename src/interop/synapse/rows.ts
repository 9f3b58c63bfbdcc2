/** The media that a Synapse knows of, read from its own tables (schema 94; older ones lack columns). */
import { type ForeignDatabase, isTrue, numberOrNull, type Row, textOf, textOrNull } from '../foreign-database.ts'

/** A row of either table. Times in ms since 1970. */
export interface SynapseMedia {
  /** Null: it is Synapse's own. */
  readonly origin: string | null
  readonly mediaId: string
  /** Of which its path is made. */
  readonly filesystemId: string
  readonly mediaType: string | null
  /** Null: an id was given out, and its content has not come. */
  readonly length: number | null
  readonly createdAt: number
  readonly uploadName: string | null
  /** Null: another server's, or nobody knows. */
  readonly userId: string | null
  /** Null: it is not. */
  readonly quarantinedBy: string | null
  /** It is a picture of a URL preview. */
  readonly isPreview: boolean
  readonly lastAccessAt: number | null
  readonly isProtected: boolean
  readonly authenticated: boolean
  /** Hex; null where Synapse has not computed it. */
  readonly sha256: string | null
}

/** Behind which row to go on: `['local', media id]` or `['remote', server, media id]`. */
export type SynapsePlace = readonly ['local', string] | readonly ['remote', string, string]

export const SYNAPSE_START: SynapsePlace = ['local', '']

const LOCAL = 'local_media_repository'
const REMOTE = 'remote_media_cache'

/** What columns there are: those of newer versions are read where they exist. */
export interface SynapseTables {
  readonly local: ReadonlySet<string>
  readonly remote: ReadonlySet<string>
}

/** @throws where the database is not one of Synapse */
export async function synapseTables(db: ForeignDatabase): Promise<SynapseTables> {
  const tables = { local: await db.columns(LOCAL), remote: await db.columns(REMOTE) }
  if (tables.local.has('media_id') && tables.remote.has('filesystem_id')) return tables
  throw new Error(`${db.name} is no database of Synapse: it has no tables ${LOCAL} and ${REMOTE}`)
}

/** How many rows both tables have now. */
export async function countSynapseMedia(db: ForeignDatabase): Promise<number> {
  const [row] = await db.query(`SELECT (SELECT count(*) FROM ${LOCAL}) + (SELECT count(*) FROM ${REMOTE}) AS rows`)
  return row ? (numberOrNull(row, 'rows') ?? 0) : 0
}

/** Some user of this homeserver that has media: its name says whose database this is. */
export async function someUploader(db: ForeignDatabase): Promise<string | undefined> {
  const [row] = await db.query(`SELECT user_id FROM ${LOCAL} WHERE user_id LIKE '@%' LIMIT 1`)
  return row && textOf(row, 'user_id')
}

/** Some user of this homeserver, with media or without. */
export async function someMember(db: ForeignDatabase): Promise<string | undefined> {
  if (!(await db.columns('users')).has('name')) return undefined
  const [row] = await db.query(`SELECT name FROM users WHERE name LIKE '@%' LIMIT 1`)
  return row && textOf(row, 'name')
}

/** Up to `limit` rows behind `after`, in the order of the tables' own indexes: each page costs the same. */
export async function synapsePage(
  db: ForeignDatabase,
  tables: SynapseTables,
  after: SynapsePlace,
  limit: number,
): Promise<SynapseMedia[]> {
  if (after[0] === 'remote') return await remotePage(db, tables.remote, after, limit)
  const rows = await db.query(
    `SELECT ${columnsOf(LOCAL_COLUMNS, tables.local)} FROM ${LOCAL} WHERE media_id > $1 ORDER BY media_id LIMIT $2`,
    [after[1], limit],
  )
  return rows.length > 0 ? rows.map(localMedia) : await remotePage(db, tables.remote, ['remote', '', ''], limit)
}

/** A name as Synapse has it: null stands for itself. */
export type SynapseName = Pick<SynapseMedia, 'origin' | 'mediaId'>

/** What there is of these names: of some hundred, and of few servers. */
export async function synapseNamed(
  db: Pick<ForeignDatabase, 'query'>,
  tables: SynapseTables,
  names: readonly SynapseName[],
): Promise<SynapseMedia[]> {
  const found: SynapseMedia[] = []
  // One after the other: PostgreSQL's connection does one thing at a time anyway.
  for (const [origin, some] of Map.groupBy(names, (name) => name.origin)) {
    const ids = some.map(({ mediaId }) => mediaId)
    const marks = ids.map((_, index) => `$${index + 1}`).join(', ')
    const rows =
      origin === null
        ? await db.query(
            `SELECT ${columnsOf(LOCAL_COLUMNS, tables.local)} FROM ${LOCAL} WHERE media_id IN (${marks})`,
            ids,
          )
        : await db.query(
            `SELECT ${columnsOf(REMOTE_COLUMNS, tables.remote)} FROM ${REMOTE}
             WHERE media_id IN (${marks}) AND media_origin = $${ids.length + 1}`,
            [...ids, origin],
          )
    found.push(...rows.map(origin === null ? localMedia : remoteMedia))
  }
  return found
}

/** Where a page that ended with this row ended. */
export const placeOf = ({ origin, mediaId }: SynapseMedia): SynapsePlace =>
  origin === null ? ['local', mediaId] : ['remote', origin, mediaId]

async function remotePage(
  db: ForeignDatabase,
  columns: ReadonlySet<string>,
  [, origin, mediaId = '']: readonly string[],
  limit: number,
): Promise<SynapseMedia[]> {
  const rows = await db.query(
    `SELECT ${columnsOf(REMOTE_COLUMNS, columns)} FROM ${REMOTE}
     WHERE (media_origin, media_id) > ($1, $2) ORDER BY media_origin, media_id LIMIT $3`,
    [origin ?? '', mediaId, limit],
  )
  return rows.map(remoteMedia)
}

const BOTH = ['media_id', 'media_type', 'media_length', 'created_ts', 'upload_name', 'quarantined_by', 'last_access_ts']
const NEWER = ['authenticated', 'sha256']
const LOCAL_COLUMNS = [...BOTH, ...NEWER, 'user_id', 'url_cache', 'safe_from_quarantine']
const REMOTE_COLUMNS = [...BOTH, ...NEWER, 'media_origin', 'filesystem_id']

const columnsOf = (wanted: readonly string[], there: ReadonlySet<string>) =>
  wanted.filter((column) => there.has(column)).join(', ')

function common(row: Row) {
  return {
    mediaId: textOf(row, 'media_id'),
    mediaType: textOrNull(row, 'media_type'),
    length: numberOrNull(row, 'media_length'),
    createdAt: numberOrNull(row, 'created_ts') ?? 0,
    uploadName: textOrNull(row, 'upload_name'),
    quarantinedBy: textOrNull(row, 'quarantined_by'),
    lastAccessAt: numberOrNull(row, 'last_access_ts'),
    authenticated: isTrue(row, 'authenticated'),
    sha256: textOrNull(row, 'sha256'),
  }
}

const localMedia = (row: Row): SynapseMedia => ({
  ...common(row),
  origin: null,
  filesystemId: textOf(row, 'media_id'),
  userId: textOrNull(row, 'user_id'),
  isPreview: textOrNull(row, 'url_cache') !== null,
  isProtected: isTrue(row, 'safe_from_quarantine'),
})

const remoteMedia = (row: Row): SynapseMedia => ({
  ...common(row),
  origin: textOf(row, 'media_origin'),
  filesystemId: textOf(row, 'filesystem_id'),
  userId: null,
  isPreview: false,
  isProtected: false,
})
