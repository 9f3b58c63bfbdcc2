import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import pg from 'pg'
import { eventually } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { mediaClient } from '../support/media-client.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const SECRET = 'shared-secret'
const OBJECTS = 300
const PATIENT = 120_000

const store = (folder: string, id: string, forKinds: string[]) => ({
  type: 'file',
  id,
  forKinds,
  opts: { path: join(folder, id) },
})
const configOf = (folder: string) => ({
  homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
  sharedSecretAuth: { enabled: true, token: SECRET },
  datastores: [store(folder, 'old', ['all']), store(folder, 'new', [])],
  uploads: { minBytes: 0 },
})

interface TaskShown {
  readonly task_id: number
  readonly is_finished: boolean
  readonly error_message: string
  readonly progress: { readonly objects: number; readonly moved: number }
}

async function ask(server: Server, method: string, path: string): Promise<TaskShown> {
  const headers = { authorization: `Bearer ${SECRET}`, 'x-forwarded-host': 'example.org' }
  const answer = await fetch(`${server.url}/_matrix/media/unstable/admin/${path}`, { method, headers })
  expect(answer.status).toBe(200)
  return (await answer.json()) as TaskShown
}

async function uploadMany(server: Server): Promise<void> {
  const client = mediaClient(server, SECRET)
  let left = OBJECTS
  const work = async () => {
    while (left-- > 0) await client.upload(randomBytes(20_000))
  }
  await Promise.all(Array.from({ length: 8 }, work))
}

/** Waits until a task has moved some, and not all. */
async function underWay(server: Server, id: number): Promise<void> {
  await eventually(async () => (await ask(server, 'GET', `tasks/${id}`)).progress.moved >= 10, PATIENT)
}

async function ended(server: Server, id: number): Promise<TaskShown> {
  let task: TaskShown | undefined
  await eventually(async () => (task = await ask(server, 'GET', `tasks/${id}`)).is_finished, PATIENT)
  if (!task) throw new Error('the task has ended')
  return task
}

test('A task goes on where it was when the only server was killed', async () => {
  await using folder = await temporaryFolder()
  const options = { folder: folder.path, config: configOf(folder.path) }
  let moved: number
  {
    await using server = await startServer(options)
    await uploadMany(server)
    await ask(server, 'POST', 'datastores/old/transfer_to/new')
    await underWay(server, 1)
    await server.stop('SIGKILL')
  }
  await using server = await startServer(options)
  ;({ moved } = (await ask(server, 'GET', 'tasks/1')).progress)
  expect(moved).toBeGreaterThanOrEqual(10)
  expect(await ended(server, 1)).toMatchObject({ error_message: '', progress: { objects: OBJECTS, moved: OBJECTS } })
}, 180_000)

const taken = (server: Server) => server.lines.filter((line) => line.includes('working on a task')).length

describeWith('postgres', 'Two servers on one database', () => {
  test('cancel each other’s tasks, begin them again, and go on with those of one that was killed', async () => {
    await using cleanup = new AsyncDisposableStack()
    const folder = cleanup.use(await temporaryFolder()).path
    const { url } = cleanup.use(await freshDatabase())
    const config = { ...configOf(folder), database: { postgres: url } }
    const servers: Server[] = []
    for (const name of ['a', 'b']) servers.push(cleanup.use(await startServer({ folder: join(folder, name), config })))
    const [a] = servers
    if (!a) throw new Error('two servers were started')
    /** Who works on the task after so many others, and who does not. */
    const roles = async (before: readonly number[]) => {
      const works = (_: Server, index: number) => {
        const server = servers[index]
        return server !== undefined && taken(server) > (before[index] ?? 0)
      }
      await eventually(() => servers.some(works), PATIENT)
      const worker = servers.find(works)
      const other = servers.find((server) => server !== worker)
      if (!worker || !other) throw new Error('one of them works')
      return { worker, other }
    }
    await uploadMany(a)
    await ask(a, 'POST', 'datastores/old/transfer_to/new')
    await underWay(a, 1)
    const first = await roles([0, 0])
    await ask(first.other, 'DELETE', 'tasks/1')
    const cancelled = await ended(first.other, 1)
    expect(cancelled.error_message).toBe('cancelled')
    expect(cancelled.progress.moved).toBeLessThan(OBJECTS)

    const before = servers.map(taken)
    const again = await Promise.all(servers.map((server) => ask(server, 'POST', 'tasks/1/retry')))
    expect(again.map((task) => task.task_id)).toEqual([2, 2])
    const second = await roles(before)
    await second.worker.stop('SIGKILL')
    const left = OBJECTS - cancelled.progress.moved
    expect(await ended(second.other, 2)).toMatchObject({ error_message: '', progress: { objects: left, moved: left } })
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    cleanup.defer(() => client.end())
    const { rows } = await client.query('SELECT datastore, count(*)::int FROM cellarium.objects GROUP BY 1')
    expect(rows).toEqual([{ datastore: 'new', count: OBJECTS }])
  }, 300_000)
})
