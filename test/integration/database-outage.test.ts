import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { type Place, startPlace, untilHealth } from '../support/place.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const LONG = { timeout: 180_000 }

/** A server of this test's own, which it may stop. */
async function ownPostgres(): Promise<PostgresServer> {
  // What it committed must survive its crash.
  const server = await startPostgres({ fsync: true })
  if (!server) throw new Error('PostgreSQL was there a moment ago')
  return server
}

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(statement)).rows
  } finally {
    await client.end()
  }
}

/** The server's processes: the first one, which accepts, and those of the connections. */
async function processesOf({ url }: PostgresServer): Promise<number[]> {
  const [row] = await query(url, `select split_part(pg_read_file('postmaster.pid'), E'\\n', 1) as pid`)
  const first = Number(row?.['pid'])
  const children = await readFile(`/proc/${first}/task/${first}/children`, 'utf8')
  return [first, ...children.trim().split(' ').map(Number)]
}

function signal(processes: readonly number[], name: NodeJS.Signals): void {
  for (const pid of processes) {
    try {
      process.kill(pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

async function ask(place: Place, path: string, body?: Uint8Array) {
  const answer = await fetch(`${place.server.url}${path}`, {
    ...(body ? { method: 'POST', body: new Uint8Array(body) } : {}),
    headers: { authorization: 'Bearer alice-token', 'x-forwarded-host': 'example.org' },
  })
  const json = answer.status === 200 ? {} : ((await answer.json()) as Record<string, unknown>)
  return { status: answer.status, retryAfter: answer.headers.get('retry-after'), json }
}

const OUTAGE = {
  status: 503,
  retryAfter: expect.stringMatching(/^[1-9]\d*$/),
  json: { errcode: 'M_UNKNOWN', error: expect.stringContaining('the database'), retry_after_ms: expect.any(Number) },
}

/** Not counting what jobs say, whose errors have the words for users: "… cannot be used at the moment". */
const timesLogged = (place: Place, text: string) =>
  place.server.lines.filter((line) => line.includes(text) && !line.includes('at the moment')).length

describeWith('postgres', 'When PostgreSQL', () => {
  test(
    'accepts and never answers, each request ends with 503 all the same, and all works when it goes on',
    LONG,
    async () => {
      await using postgres = await ownPostgres()
      await using place = await startPlace({ database: { postgres: postgres.url } })
      const bytes = randomBytes(1000)
      const { media } = await place.alice.upload(bytes)
      const files = await place.files()
      const frozen = await processesOf(postgres)
      signal(frozen, 'SIGSTOP')
      try {
        const download = `/_matrix/client/v1/media/download/${media}`
        const answers = await Promise.all([
          ask(place, '/_matrix/media/v3/upload', randomBytes(1000)),
          ask(place, download),
          ask(place, `/_matrix/client/v1/media/thumbnail/${media}?width=32&height=32`),
          ...Array.from({ length: 40 }, () => ask(place, download)),
        ])
        for (const answer of answers) expect(answer).toMatchObject(OUTAGE)
        expect((await ask(place, '/healthz')).json).toMatchObject({ ok: false, database: 'down' })
        expect(await place.files()).toEqual(files)
        expect(timesLogged(place, 'internal error')).toBe(0)
        expect(timesLogged(place, 'the database cannot be used')).toBe(1)
      } finally {
        signal(frozen, 'SIGCONT')
      }
      await untilHealth(place.server, 200)
      expect(await place.alice.download(media)).toEqual({ status: 200, body: bytes })
      const { status, media: next } = await place.alice.upload(randomBytes(1000))
      expect(status).toBe(200)
      expect((await place.alice.download(next)).status).toBe(200)
    },
  )

  test('crashes and recovers, downloads after it do not notice that each connection is dead', LONG, async () => {
    await using postgres = await ownPostgres()
    await using place = await startPlace({ database: { postgres: postgres.url } })
    const bytes = randomBytes(1000)
    const { media } = await place.alice.upload(bytes)
    for (let round = 0; round < 3; round++) {
      await Promise.all(Array.from({ length: 20 }, () => place.alice.download(media)))
      const [, backend] = await query(
        postgres.url,
        `select pid from pg_stat_activity where application_name = 'cellarium' and pid <> pg_backend_pid()`,
      )
      const before = await checkpointer(postgres.url)
      // The death of one makes the server end all others, and go through recovery; it takes a moment to notice.
      signal([Number(backend?.['pid'])], 'SIGKILL')
      const isBack = async () => ![undefined, before].includes(await checkpointer(postgres.url).catch(() => undefined))
      await expect.poll(isBack, { timeout: 60_000 }).toBe(true)
      const after = await Promise.all(Array.from({ length: 20 }, () => place.alice.download(media)))
      for (const answer of after) expect(answer).toEqual({ status: 200, body: bytes })
      await expect.poll(async () => (await place.alice.upload(randomBytes(1000))).status, { timeout: 30_000 }).toBe(200)
    }
  })

  test(
    'has no connection left for us, requests end with 503, once in the log, and work when there is one again',
    LONG,
    async () => {
      await using database = await freshDatabase()
      const url = new URL(database.url)
      const role = `role_${randomBytes(6).toString('hex')}`
      await query(
        database.url,
        `create role ${role} login password 'secret'; alter database ${url.pathname.slice(1)} owner to ${role}`,
      )
      url.username = role
      url.password = 'secret'
      {
        await using place = await startPlace({
          database: { postgres: url.href, pool: { maxConnections: 3, maxIdleConnections: 1 } },
        })
        const { media } = await place.alice.upload(randomBytes(1000))
        await query(database.url, `alter role ${role} connection limit 0`)
        await query(database.url, `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`)
        await expect
          .poll(() => ask(place, `/_matrix/client/v1/media/download/${media}`), { timeout: 30_000 })
          .toMatchObject(OUTAGE)
        for (let round = 0; round < 3; round++) {
          expect(await ask(place, '/_matrix/media/v3/upload', randomBytes(1000))).toMatchObject(OUTAGE)
        }
        expect((await ask(place, '/healthz')).status).toBe(503)
        await expect.poll(() => timesLogged(place, 'the database cannot be used')).toBe(1)
        await expect.poll(() => place.server.lines.join('\n'), { timeout: 30_000 }).toContain('53300')
        await query(database.url, `alter role ${role} connection limit -1`)
        expect((await place.alice.download(media)).status).toBe(200)
        expect((await place.alice.upload(randomBytes(1000))).status).toBe(200)
      }
      await query(database.url, `reassign owned by ${role} to postgres; drop owned by ${role}; drop role ${role}`)
    },
  )
})

/** The process id of a server's checkpointer: another one after each crash. */
async function checkpointer(url: string): Promise<unknown> {
  const [row] = await query(url, `select pid from pg_stat_activity where backend_type = 'checkpointer'`)
  return row?.['pid']
}
