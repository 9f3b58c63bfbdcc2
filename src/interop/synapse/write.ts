/** Putting media into a Synapse's own tables, as it does itself. */
import { numberOrNull, type Parameter, type Query, textOf, type WritableDatabase } from '../foreign-database.ts'
import { type SynapseMedia, type SynapseName, type SynapseTables, synapseTables } from './rows.ts'

/** What there is to be filled: newer versions have more. */
export interface SynapseTarget extends SynapseTables {
  /** Synapse tells in a table what is quarantined and released (schema 94). */
  readonly tellsQuarantine: boolean
  /** The sequence of that table's ids, where the engine has such a thing. */
  readonly quarantineIds: string | undefined
}

/** A thumbnail of Synapse's own sizes. */
export interface SynapseThumbnail {
  readonly width: number
  readonly height: number
  /** `image/png` or `image/jpeg`. */
  readonly type: string
  readonly method: 'crop' | 'scale'
  /** Bytes; null: Synapse makes it when it is first asked for, and then notes how long it is. */
  readonly length: number | null
}

/** What is to be changed about a row that is there already. Null and false: nothing. */
export interface SynapseChange extends SynapseName {
  readonly quarantinedBy: string | null
  readonly isProtected: boolean
  readonly lastAccessAt: number | null
}

const CHANGES = 'quarantined_media_changes'
/** Rows a statement: PostgreSQL takes 65,535 parameters, SQLite 32,766. */
const AT_ONCE = 200

/** @throws where the database is not one of Synapse */
export async function synapseTarget(db: WritableDatabase): Promise<SynapseTarget> {
  const tables = await synapseTables(db)
  const columns = await db.columns(CHANGES)
  return { ...tables, tellsQuarantine: columns.has('stream_id'), quarantineIds: await quarantineIdsOf(db) }
}

async function quarantineIdsOf(db: WritableDatabase): Promise<string | undefined> {
  if (db.engine === 'sqlite') return undefined
  const rows = await db.query(
    `SELECT oid::regclass::text AS name FROM pg_class
     WHERE relkind = 'S' AND relname LIKE 'quarantined%media%' AND pg_table_is_visible(oid)`,
  )
  return rows[0] && textOf(rows[0], 'name')
}

/** Adds those that are not there, and gives them. What is there is left as it is. */
export async function insertSynapseMedia(
  query: Query,
  target: SynapseTarget,
  media: readonly SynapseMedia[],
): Promise<SynapseMedia[]> {
  const inserted = [
    ...(await insertInto(query, 'local_media_repository', target.local, media.filter(isLocal))),
    ...(await insertInto(
      query,
      'remote_media_cache',
      target.remote,
      media.filter((one) => !isLocal(one)),
    )),
  ]
  await tellQuarantine(
    query,
    target,
    inserted.filter(({ quarantinedBy }) => quarantinedBy !== null),
  )
  return inserted
}

const isLocal = ({ origin }: SynapseName) => origin === null

const nameOf = ({ origin, mediaId }: SynapseName) => `${origin ?? ''}/${mediaId}`

async function insertInto(
  query: Query,
  table: string,
  columns: ReadonlySet<string>,
  media: readonly SynapseMedia[],
): Promise<SynapseMedia[]> {
  const made = new Set<string>()
  for (let begin = 0; begin < media.length; begin += AT_ONCE) {
    const rows = media.slice(begin, begin + AT_ONCE).map((one) => rowOf(one, columns))
    const returning = table === 'remote_media_cache' ? 'media_origin, media_id' : 'media_id'
    const found = await insert(query, table, rows, `RETURNING ${returning}`)
    for (const row of found) made.add(`${textOf(row, 'media_origin')}/${textOf(row, 'media_id')}`)
  }
  return media.filter((one) => made.has(nameOf(one)))
}

type Values = Readonly<Record<string, Parameter>>

/** Older tables lack columns. */
function rowOf(media: SynapseMedia, columns: ReadonlySet<string>): Values {
  const { origin, filesystemId } = media
  const row = {
    media_id: media.mediaId,
    media_type: media.mediaType,
    media_length: media.length,
    created_ts: media.createdAt,
    upload_name: media.uploadName,
    quarantined_by: media.quarantinedBy,
    last_access_ts: media.lastAccessAt,
    authenticated: Number(media.authenticated),
    sha256: media.sha256,
    ...(origin === null
      ? { user_id: media.userId, safe_from_quarantine: Number(media.isProtected) }
      : { media_origin: origin, filesystem_id: filesystemId }),
  }
  return Object.fromEntries(Object.entries(row).filter(([column]) => columns.has(column)))
}

/** All rows have the same columns. */
async function insert(query: Query, table: string, rows: readonly Values[], more = '') {
  const [first] = rows
  if (!first) return []
  const columns = Object.keys(first)
  const marks = rows.map(
    (_, row) => `(${columns.map((__, column) => `$${row * columns.length + column + 1}`).join(', ')})`,
  )
  return await query(
    `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${marks.join(', ')} ON CONFLICT DO NOTHING ${more}`,
    rows.flatMap((row) => Object.values(row)),
  )
}

/** Says which thumbnails there are of some media, or are to be made when somebody asks. */
export async function insertSynapseThumbnails(
  query: Query,
  media: SynapseMedia,
  thumbnails: readonly SynapseThumbnail[],
): Promise<void> {
  const { origin, mediaId, filesystemId } = media
  const name: Values =
    origin === null ? { media_id: mediaId } : { media_id: mediaId, media_origin: origin, filesystem_id: filesystemId }
  const rows = thumbnails.map(({ width, height, type, method, length }) => ({
    ...name,
    thumbnail_width: width,
    thumbnail_height: height,
    thumbnail_type: type,
    thumbnail_method: method,
    thumbnail_length: length,
  }))
  await insert(query, origin === null ? 'local_media_repository_thumbnails' : 'remote_media_cache_thumbnails', rows)
}

/** Quarantines and protects what is not, and brings last use up to date: nothing is taken back. */
export async function changeSynapseMedia(
  query: Query,
  target: SynapseTarget,
  changes: readonly SynapseChange[],
): Promise<void> {
  const quarantined: SynapseName[] = []
  for (const change of changes) {
    const { origin, mediaId, quarantinedBy, isProtected, lastAccessAt } = change
    const table = origin === null ? 'local_media_repository' : 'remote_media_cache'
    const named = origin === null ? 'media_id = $2' : 'media_id = $2 AND media_origin = $3'
    const name = origin === null ? [mediaId] : [mediaId, origin]
    const update = (set: string, where: string, value: Parameter) =>
      query(`UPDATE ${table} SET ${set} WHERE ${named} AND ${where} RETURNING media_id`, [value, ...name])
    if (quarantinedBy !== null) {
      const rows = await update('quarantined_by = $1', 'quarantined_by IS NULL', quarantinedBy)
      if (rows.length > 0) quarantined.push(change)
    }
    if (isProtected && origin === null) await update('safe_from_quarantine = $1', 'NOT safe_from_quarantine', 1)
    if (lastAccessAt !== null) {
      await update('last_access_ts = $1', '(last_access_ts IS NULL OR last_access_ts < $1)', lastAccessAt)
    }
  }
  await tellQuarantine(query, target, quarantined)
}

async function tellQuarantine(query: Query, target: SynapseTarget, names: readonly SynapseName[]): Promise<void> {
  if (!target.tellsQuarantine) return
  for (const { origin, mediaId } of names) {
    const id = await nextQuarantineId(query, target)
    await insert(query, CHANGES, [
      { stream_id: id, instance_name: 'master', origin, media_id: mediaId, quarantined: 1 },
    ])
  }
}

/**
 * In SQLite Synapse counts by itself, from the highest id that it finds when it starts. One that runs would come to ids that were taken
 * meanwhile, and then could quarantine nothing: so ours are far from its own.
 */
const FAR = 1_000_000

const nextFar = `
  SELECT CASE WHEN COALESCE(MAX(stream_id), 0) < ${FAR} THEN ${FAR} ELSE MAX(stream_id) END + 1 AS id FROM ${CHANGES}`

async function nextQuarantineId(query: Query, { quarantineIds }: SynapseTarget): Promise<number> {
  const [row] = await (quarantineIds === undefined
    ? query(nextFar)
    : query('SELECT nextval($1::regclass) AS id', [quarantineIds]))
  return (row && numberOrNull(row, 'id')) ?? 1
}
