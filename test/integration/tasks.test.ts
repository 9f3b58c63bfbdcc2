import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ALICE, type Answered, BOB, eventually, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'

const PREFIXES = ['/_matrix/media/unstable', '/_matrix/media/unstable/io.t2bot.media']
const TASKS = `${PREFIXES[0]}/admin/tasks`

interface Tasks extends AsyncDisposable {
  readonly app: TestApp
  /** Asks as Alice, who administers the repository. */
  readonly ask: (method: string, path: string) => Promise<Answered>
  /** Begins a transfer that fails: what it has to move is gone. Gives its number. */
  readonly fail: () => Promise<number>
  /** Waits for the end of a task, and gives it. */
  readonly ended: (id: number) => Promise<Record<string, unknown>>
}

async function start(config: Record<string, unknown> = {}): Promise<Tasks> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const store = (id: string, forKinds: string[]) => ({ type: 'file', id, forKinds, opts: { path: join(folder, id) } })
  const datastores = [store('old', ['all']), store('new', [])]
  const app = cleanup.use(await startApp({ config: { admins: [ALICE.userId], datastores, ...config }, folder }))
  const ask = (method: string, path: string) => app.ask(path, { method, token: ALICE.token })
  const ended = async (id: number) => {
    let task: Record<string, unknown> = {}
    await eventually(async () => (task = (await ask('GET', `${TASKS}/${id}`)).json)['is_finished'], 60_000)
    return task
  }
  const fail = async () => {
    const media = await app.upload(randomBytes(100))
    const [row] = app.sql(
      'SELECT location FROM objects JOIN media USING (sha256) WHERE media_id = ?',
      media.split('/')[1] ?? '',
    )
    await rm(join(folder, 'old', String(row?.['location'])))
    const { json } = await ask('POST', `${PREFIXES[0]}/admin/datastores/old/transfer_to/new`)
    const id = Number(json['task_id'])
    expect((await ended(id))['error_message']).toContain('1 left where they are')
    return id
  }
  const owned = cleanup.move()
  return { app, ask, fail, ended, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

test('A task that went wrong is begun again with what it was asked for, from the beginning, under another number', async () => {
  await using tasks = await start()
  const { app, ask } = tasks
  const failed = await tasks.fail()
  const before = (await ask('GET', `${TASKS}/${failed}`)).json
  // What was uploaded since moves too.
  const media = await app.upload(randomBytes(50))
  const again = await ask('POST', `${PREFIXES[1]}/admin/tasks/${failed}/retry`)
  expect(again).toMatchObject({
    status: 200,
    json: { task_id: failed + 1, retry_of: failed, params: before['params'] },
  })
  const after = await tasks.ended(failed + 1)
  expect(after).toMatchObject({ progress: { objects: 2, moved: 1, failed: 1 }, retry_of: failed })
  expect((await ask('GET', `${TASKS}/${failed}`)).json).toEqual(before)
  const [row] = app.sql(
    'SELECT datastore FROM objects JOIN media USING (sha256) WHERE media_id = ?',
    media.split('/')[1] ?? '',
  )
  expect(row).toEqual({ datastore: 'new' })
  expect(app.sql("SELECT actor, subject, affected FROM audit WHERE action = 'retry_background_task'")).toEqual([
    { actor: ALICE.userId, subject: String(failed), affected: null },
  ])
})

test('A task that was cancelled can be begun again; one that is done, waits or is none cannot', async () => {
  await using tasks = await start()
  const { app, ask } = tasks
  const done = Number((await ask('POST', `${PREFIXES[0]}/admin/datastores/old/transfer_to/new`)).json['task_id'])
  await tasks.ended(done)
  // A newer version's task: nobody here takes it up.
  app.sql(
    `INSERT INTO tasks (id, name, params, progress, started_at, error) VALUES (8, 'newer', '{}', '{"at":3}', 1, '')`,
  )
  const refused = async (path: string) => {
    const { status, json } = await ask('POST', `${TASKS}/${path}`)
    return [status, json['errcode'], json['error']]
  }
  expect(await refused(`${done}/retry`)).toEqual([400, 'M_UNKNOWN', `Task ${done} is done: nothing went wrong`])
  expect(await refused('8/retry')).toEqual([400, 'M_UNKNOWN', 'Task 8 has not ended'])
  expect(await refused('9/retry')).toEqual([404, 'M_NOT_FOUND', 'There is no task 9'])
  expect(await refused('x/retry')).toEqual([400, 'M_INVALID_PARAM', 'taskId must be a whole number'])
  expect((await ask('DELETE', `${TASKS}/8`)).json).toMatchObject({ is_finished: false })
  app.sql(`UPDATE tasks SET ended_at = 5, error = 'cancelled' WHERE id = 8`)
  const twice = await Promise.all([ask('POST', `${TASKS}/8/retry`), ask('POST', `${TASKS}/8/retry`)])
  expect(twice.map(({ json }) => [json['task_id'], json['progress']])).toEqual([
    [9, {}],
    [9, {}],
  ])
  for (const path of ['8/retry', '8']) {
    const method = path === '8' ? 'DELETE' : 'POST'
    expect(await app.ask(`${TASKS}/${path}`, { method, token: BOB.token })).toMatchObject({ status: 403 })
    expect(await app.ask(`${TASKS}/${path}`, { method })).toMatchObject({ status: 401 })
  }
})

const next = (query: string) => `<?${query}>; rel="next"`

test('The list has the last tasks, oldest first, and names the address of older ones', async () => {
  await using tasks = await start()
  const { app, ask } = tasks
  const rows = Array.from({ length: 1200 }, (_, index) => `(${index + 1}, 'newer', '{}', '{}', 1, 2, '')`)
  app.sql(`INSERT INTO tasks (id, name, params, progress, started_at, ended_at, error) VALUES ${rows.join()}`)
  const list = async (query: string) => {
    const { status, json, headers } = await ask('GET', `${TASKS}/all${query}`)
    expect(status).toBe(200)
    const ids = (json as unknown as { readonly task_id: number }[]).map((task) => task.task_id)
    return { first: ids[0], last: ids.at(-1), count: ids.length, next: headers['link'] }
  }
  expect(await list('')).toEqual({ first: 201, last: 1200, count: 1000, next: next('before=201') })
  expect(await list('?before=201')).toEqual({ first: 1, last: 200, count: 200, next: undefined })
  expect(await list('?limit=2')).toEqual({ first: 1199, last: 1200, count: 2, next: next('limit=2&before=1199') })
  expect(await list('?limit=5000')).toMatchObject({ count: 1200, next: undefined })
  for (const query of ['limit=0', 'limit=10001', 'limit=x', 'before=-1', 'before=x']) {
    const { status, json } = await ask('GET', `${TASKS}/all?${query}`)
    expect([status, json['errcode']]).toEqual([400, 'M_INVALID_PARAM'])
  }
})
