import { randomBytes } from 'node:crypto'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { startPostgres } from '../../test/support/postgres.ts'
import { type Comparison, median } from '../in-turn.ts'
import { wrk } from '../load/wrk.ts'
import type { Engine } from '../records/databases.ts'
import { type Aim, KIB, type Row } from '../row.ts'
import { openStage, type Stage } from '../stage.ts'

export interface QuarantineRow {
  readonly name: string
  readonly engine: Engine
  readonly uploads: number
  readonly aim: Aim
}

const ENGINES = { sqlite: 'SQLite', postgres: 'PostgreSQL' } as const
const ADMIN = '@bench:bench.example'
const SPAMMER = '@spammer:bench.example'
const FILES = 200
const CONNECTIONS = 8
const WARM_UP_SECONDS = 3
const QUARANTINE = `/_matrix/media/unstable/admin/quarantine/user/${SPAMMER}`

/** How long quarantining all that a user uploaded takes, and how much longer downloads of others take meanwhile. */
export function quarantineUser({ name, engine, uploads, aim }: QuarantineRow): Row {
  return {
    name,
    title: `quarantine ${uploads.toLocaleString('en')} uploads of a user, ${ENGINES[engine]}; p99 of downloads`,
    unit: 's',
    reference: 'p99 without, ms',
    aim,
    onlyWhenNamed: true,
    async measure(setting): Promise<Comparison> {
      await using cleanup = new AsyncDisposableStack()
      // PostgreSQL may have to run as another user.
      await chmod(setting.folder, 0o711)
      const postgres = engine === 'postgres' ? await startPostgres({ fsync: true, folder: setting.folder }) : undefined
      if (postgres) cleanup.use(postgres)
      const database = postgres ? { database: { postgres: postgres.url } } : {}
      const stage = cleanup.use(await openStage({ ...setting, config: { admins: [ADMIN], ...database } }))
      await fillDownloads(stage)
      await (postgres ? seedPostgres(postgres.url, uploads) : seedSqlite(stage, uploads))
      const load = async () => (await download(stage, setting.seconds)).p99Ms
      await download(stage, WARM_UP_SECONDS)
      const found: { seconds: number; before: number; during: number }[] = []
      for (let round = 0; round < setting.rounds; round++) {
        const before = await load()
        found.push({ before, ...(await quarantineUnder(stage, uploads, load)) })
        await moderate(stage, 'DELETE')
      }
      const seconds = found.map((round) => round.seconds)
      return {
        value: median(seconds),
        lowest: Math.min(...seconds),
        highest: Math.max(...seconds),
        reference: median(found.map(({ before }) => before)),
        ratio: median(found.map(({ during, before }) => during / before)),
        note: `p99 meanwhile ${Math.round(median(found.map(({ during }) => during)))} ms`,
      }
    },
  }
}

/** Downloads go on until it is done; gives their median p99. */
async function quarantineUnder(stage: Stage, uploads: number, load: () => Promise<number>) {
  const began = performance.now()
  const state = { isDone: false }
  const quarantining = (async () => {
    const names = await moderate(stage, 'POST')
    if (names !== uploads) throw new Error(`${names} media were quarantined, and not ${uploads}`)
    return (performance.now() - began) / 1000
  })().finally(() => (state.isDone = true))
  const latencies: number[] = []
  while (!state.isDone) latencies.push(await load())
  return { seconds: await quarantining, during: median(latencies) }
}

/** Resolves when it is done, by the request itself or by a task, with how many names it was. */
async function moderate({ server, headers: { Host = '', ...headers } }: Stage, method: string): Promise<number> {
  const ask = async (path: string, init: { method?: string } = {}): Promise<Record<string, number | boolean>> => {
    const answer = await fetch(server.url + path, { ...init, headers: { ...headers, 'X-Forwarded-Host': Host } })
    if (answer.status !== 200) throw new Error(`${path} was answered ${answer.status}: ${await answer.text()}`)
    return (await answer.json()) as Record<string, number | boolean>
  }
  const done = await ask(QUARANTINE, { method })
  if (done['is_finished']) return Number(done['num_quarantined'] ?? done['num_released'])
  for (;;) {
    const task = await ask(`/_matrix/media/unstable/admin/tasks/${String(done['task_id'])}`)
    if (task['is_finished']) return (task['progress'] as unknown as { done: number }).done
    await pause(100)
  }
}

async function fillDownloads(stage: Stage): Promise<void> {
  const paths: string[] = []
  for (let file = 0; file < FILES; file++) {
    paths.push(await stage.upload({ bytes: randomBytes(KIB), type: 'image/png' }))
  }
  await writeFile(join(stage.folder, 'paths'), paths.join('\n'))
}

function download(stage: Stage, seconds: number) {
  const tell = { BENCH_PATHS: join(stage.folder, 'paths') }
  const { server, headers } = stage
  return wrk({ url: server.url, headers, connections: CONNECTIONS, seconds, script: 'random', tell })
}

/** Uploads over months, each with content of its own and a time of access; no files: they are not read. */
const seeds = (numbers: string, schema: string) => [
  `INSERT INTO ${schema}objects (sha256, size, datastore, location, created_at)
   SELECT 'feed' || n, 1000, 'none', 'seeded/' || n, n FROM ${numbers}`,
  `INSERT INTO ${schema}media (origin, media_id, sha256, kind, content_type, uploader, created_at, accessed_at)
   SELECT 'bench.example', 'seeded' || n, 'feed' || n, 'upload', 'image/png', '${SPAMMER}', n, n + 5 FROM ${numbers}`,
]

function seedSqlite(stage: Stage, uploads: number): void {
  using database = new DatabaseSync(join(stage.folder, 'data', 'cellarium.sqlite'), { timeout: 60_000 })
  const numbers = `(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${uploads}) SELECT n FROM c)`
  for (const statement of seeds(numbers, '')) database.exec(statement)
}

async function seedPostgres(url: string, uploads: number): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of seeds(`generate_series(1, ${uploads}) n`, 'cellarium.')) await client.query(statement)
    await client.query('ANALYZE')
  } finally {
    await client.end()
  }
}
