/** Databases and folders as matrix-media-repo leaves them: a real one, from `test/fixtures/mmr`, and made-up ones of any size. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { temporaryFolder } from './folder.ts'
import { runProgram, startProgram } from './processes.ts'
import { freshDatabase } from './services.ts'

const FIXTURE = fileURLToPath(new URL('../fixtures/mmr/', import.meta.url))

export interface MmrPlace extends AsyncDisposable {
  /** Of its database. */
  readonly url: string
  readonly folder: string
  /** The folder of its datastore `main`. */
  readonly media: string
  readonly query: (statement: string, values?: readonly unknown[]) => Promise<Record<string, unknown>[]>
}

/** What is expected of a row of `media`. */
export interface ExpectedMedia {
  readonly mxc: string
  readonly kind: 'upload' | 'preview_image' | 'thumbnail_copy'
  readonly sha256: string
  readonly size: number
  readonly content_type: string
  readonly upload_name: string | null
  readonly user: string | null
  readonly quarantined: boolean
  readonly requires_auth: boolean
  readonly pinned: boolean
  readonly created_ts: number
  readonly datastore: string
  readonly location: string
}

export interface Expected {
  readonly media: readonly ExpectedMedia[]
  readonly pending: readonly { readonly mxc: string; readonly user: string; readonly expires_ts: number }[]
  readonly tombstones: readonly { readonly mxc: string }[]
  readonly last_access: readonly { readonly sha256_hash: string; readonly last_access_ts: number }[]
  readonly counts: Readonly<Record<string, number>>
}

/** What the fixture's own list says of it. */
export async function expectedOfMmr(): Promise<Expected> {
  return JSON.parse(await readFile(join(FIXTURE, 'expected.json'), 'utf8')) as Expected
}

/** The fixture's database and folder, restored. */
export async function mmrOfFixture(): Promise<MmrPlace> {
  return await restore((dump) => dump)
}

/** The same without any row. */
export async function emptyMmr(): Promise<MmrPlace> {
  return await restore((dump) => dump.replaceAll(/^INSERT INTO public\.(?!gomigrate).*$/gm, ''))
}

async function restore(change: (dump: string) => string): Promise<MmrPlace> {
  await using cleanup = new AsyncDisposableStack()
  const { url } = cleanup.use(await freshDatabase())
  const { path: folder } = cleanup.use(await temporaryFolder())
  await withClient(
    url,
    async (client) => await client.query(change(await readFile(join(FIXTURE, 'database.sql'), 'utf8'))),
  )
  await runProgram({ command: ['tar', '-xf', join(FIXTURE, 'media.tar'), '-C', folder] })
  const owned = cleanup.move()
  return {
    url,
    folder,
    media: join(folder, 'media'),
    query: async (statement, values = []) =>
      await withClient(url, async (client) => (await client.query(statement, [...values])).rows),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function withClient<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** MMR's own configuration of such a place, and a homeserver. */
export function configOf(place: Pick<MmrPlace, 'url' | 'media'>, csApi: string) {
  return {
    database: { postgres: place.url },
    homeservers: [{ name: 'localhost', csApi }],
    datastores: [{ type: 'file', id: 'main', forKinds: ['all'], opts: { path: place.media } }],
    admins: ['@admin:localhost'],
    uploads: { minBytes: 0 },
  }
}

/** In SQL: of a content that is told by `of`. */
const hash = (of: string) => `encode(sha256(('content ' || ${of})::bytea), 'hex')`

/** Makes so many rows up, with what belongs to them: users, some quarantined, pinned and frozen ones, thumbnails with their copies. */
export async function fillMmr({ query }: Pick<MmrPlace, 'query'>, rows: number, from = 0): Promise<void> {
  await query('ALTER TABLE media DISABLE TRIGGER ALL')
  const number = `generate_series(${from}, ${from + rows - 1}) AS n`
  const id = `md5(n::text) || '00000000' || (2000000000000000000 + n)`
  await query(`
    INSERT INTO media (origin, media_id, upload_name, content_type, user_id, sha256_hash, size_bytes, location, creation_ts,
      quarantined, datastore_id)
    SELECT CASE n % 4 WHEN 1 THEN 'far' || n % 50 || '.org' ELSE 'localhost' END, ${id}, CASE n % 3 WHEN 0 THEN '.' ELSE 'n' || n || '.png' END,
      'image/png', CASE n % 4 WHEN 1 THEN '' ELSE '@u' || n % 1000 || ':localhost' END,
      ${hash('n / 2')}, 100 + (n / 2) % 1000, 'aa/bb/' || n / 2, 1700000000000 + n * 60000::bigint, n % 1000 < 2, 'main'
    FROM ${number}`)
  await query(`
    INSERT INTO media (origin, media_id, upload_name, content_type, user_id, sha256_hash, size_bytes, location, creation_ts, datastore_id)
    SELECT 'localhost', 'fff' || ${id}, '', 'image/png', '', ${hash(`'thumbnail ' || n`)}, 50, 'tt/tt/' || n, 1700000000000 + n, 'main'
    FROM ${number} WHERE n % 10 = 0`)
  await query(`
    INSERT INTO thumbnails (origin, media_id, width, height, method, content_type, size_bytes, location, creation_ts, sha256_hash, datastore_id)
    SELECT 'localhost', ${id}, 32, 32, 'crop', 'image/png', 50, 'tt/tt/' || n, 1700000000000 + n, ${hash(`'thumbnail ' || n`)}, 'main'
    FROM ${number} WHERE n % 10 = 0`)
  await query(`
    INSERT INTO restricted_media SELECT 'localhost', ${id}, 'io.t2bot.requires_authentication', 'true' FROM ${number} WHERE n % 4 = 0`)
  await query(`INSERT INTO media_attributes SELECT 'localhost', ${id}, 'pinned' FROM ${number} WHERE n % 1000 = 4`)
  await query(`
    INSERT INTO last_access SELECT DISTINCT ${hash('n / 2')}, 1750000000000 + n / 2 FROM ${number} ON CONFLICT DO NOTHING`)
  await query('ANALYZE')
}

/** All rows of MMR's tables. */
export async function tablesOfMmr({ query }: Pick<MmrPlace, 'query'>): Promise<unknown> {
  const tables = await query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`)
  const rows = []
  for (const { tablename: table } of tables) {
    rows.push([table, await query(`SELECT t::text FROM public.${String(table)} AS t ORDER BY 1`)])
  }
  return rows
}

/** The paths and sizes of the files that MMR made. */
export async function filesOfMmr({ media }: Pick<MmrPlace, 'media'>): Promise<(readonly [string, number])[]> {
  const files = (await readdir(media, { recursive: true })).filter((file) => file.endsWith('idv2fmt')).toSorted()
  return await Promise.all(files.map(async (file) => [file, (await stat(join(media, file))).size] as const))
}

/** Waits until all of MMR's records are here, for at most a minute: by a pass that ended after `after`, in ms since 1970. */
export async function untilCopied({ query }: Pick<MmrPlace, 'query'>, after = 0): Promise<void> {
  const end = Date.now() + 60_000
  while (Date.now() < end) {
    const [row] = await query('SELECT state, copied_at FROM cellarium.mmr_take_over').catch(() => [])
    if (row?.['state'] === 'copied' && Number(row['copied_at']) > after) return
    await pause(50)
  }
  throw new Error('not all of MMR was copied within a minute')
}

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))

/** Runs a command of Cellarium; gives its exit status and what it printed. */
export async function cellarium(
  ...args: readonly string[]
): Promise<{ readonly code: number | null; readonly text: string }> {
  await using program = await startProgram({ command: [process.execPath, CELLARIUM, ...args] })
  const { code } = await program.ended
  return { code, text: program.lines.join('\n') }
}
