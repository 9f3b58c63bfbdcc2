import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ALICE, heldClock, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { noise } from '../support/images.ts'

const CAROL = { token: 'syt_carol_Vb4m', userId: '@carol:other.org' }

const stores = (path: string, kinds: Readonly<Record<string, readonly string[]>>) =>
  Object.entries(kinds).map(([id, forKinds]) => ({ id, type: 'file', forKinds, opts: { path: join(path, id) } }))

/** How many bytes of objects each datastore holds, by the records. */
function held(app: TestApp): Record<string, number> {
  const rows = app.sql('SELECT datastore, sum(size) AS bytes FROM objects GROUP BY datastore ORDER BY datastore')
  return Object.fromEntries(rows.map(({ datastore, bytes }) => [String(datastore), Number(bytes)]))
}

const objects = (app: TestApp) => Number(app.sql('SELECT count(*) AS count FROM objects')[0]?.['count'])

async function filesBelow(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile() && !entry.parentPath.endsWith('.staging')).length
}

const download = (app: TestApp, media: string, host = 'example.org') =>
  app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token, headers: { host } })

describe('An upload goes', () => {
  test('to the datastore that holds the fewest bytes, whatever their order and however many files they hold', async () => {
    await using folder = await temporaryFolder()
    const datastores = stores(folder.path, { one: ['all'], two: ['local_media'], three: ['all'] })
    await using app = await startApp({ config: { datastores } })
    for (const size of [5000, 1, 3000, 2, 1500, 1000, 3, 4]) await app.upload(randomBytes(size))
    // 5000 to the first; 1 to the second; 3000 to the third; then always to the emptiest.
    expect(held(app)).toEqual({ one: 5000, two: 2510, three: 3000 })
  })

  test('by what all servers have stored, from the counters in the database', async () => {
    await using folder = await temporaryFolder()
    const datastores = stores(folder.path, { one: ['all'], two: ['all'] })
    const clock = heldClock()
    await using app = await startApp({ config: { datastores }, clock })
    await app.upload(randomBytes(1000))
    // What another instance writes down: first unfolded, then as a total.
    app.sql("INSERT INTO usage_changes (subject, change_id, bytes, files) VALUES ('datastore:two', 'x', 900000, 1)")
    clock.wait(11_000)
    await app.upload(randomBytes(2000))
    expect(held(app)).toEqual({ one: 3000 })
    // The task that folds may have made the row already.
    app.sql(`INSERT INTO usage_totals (subject, bytes, files) VALUES ('datastore:one', 9000000, 1)
      ON CONFLICT (subject) DO UPDATE SET bytes = 9000000, files = 1`)
    clock.wait(11_000)
    await app.upload(randomBytes(10))
    expect(held(app)).toEqual({ one: 3000, two: 10 })
  })

  test('where its kind goes: thumbnails elsewhere, nothing to what is only read from', async () => {
    await using folder = await temporaryFolder()
    const kinds = { reading: [], small: ['thumbnails'], remote: ['remote_media', 'archives'], local: ['local_media'] }
    await using app = await startApp({ config: { datastores: stores(folder.path, kinds) } })
    const media = await app.upload(await noise({ width: 200, height: 200 }).png().toBuffer())
    const thumbnail = await app.ask(`/_matrix/client/v1/media/thumbnail/${media}?width=32&height=32&method=crop`, {
      token: ALICE.token,
    })
    expect(thumbnail.status).toBe(200)
    expect(Object.keys(held(app))).toEqual(['local', 'small'])
  })

  test('by what its own homeserver uses each datastore for', async () => {
    await using folder = await temporaryFolder()
    await using other = await startHomeserver()
    other.addUser(CAROL)
    const main = stores(folder.path, { one: ['local_media'], two: ['thumbnails'] })
    const swapped = stores(folder.path, { one: ['thumbnails'], two: ['local_media'] })
    await using app = await startApp({
      config: { datastores: main },
      otherHomeservers: [{ name: 'other.org', csApi: other.url }],
      domainFiles: { 'other.yaml': { homeserver: 'other.org', datastores: swapped } },
    })
    await app.upload(randomBytes(100))
    await app.upload(randomBytes(2000), { token: CAROL.token, host: 'other.org' })
    expect(held(app)).toEqual({ one: 100, two: 2000 })
  })

  test('nowhere if no datastore takes it: 503 that names the option', async () => {
    await using folder = await temporaryFolder()
    await using app = await startApp({ config: { datastores: stores(folder.path, { reading: [] }) } })
    const { status, json } = await app.ask('/_matrix/media/v3/upload', {
      method: 'POST',
      body: 'x',
      token: ALICE.token,
    })
    expect([status, json['error']]).toEqual([503, 'no datastore is configured for local_media (datastores[].forKinds)'])
  })
})

describe('The same bytes', () => {
  test('sent to homeservers with datastores of their own are stored once, and each reads what the other stored', async () => {
    await using folder = await temporaryFolder()
    await using other = await startHomeserver()
    other.addUser(CAROL)
    await using app = await startApp({
      config: { datastores: stores(folder.path, { ours: ['all'] }) },
      otherHomeservers: [{ name: 'other.org', csApi: other.url }],
      domainFiles: { 'other.yaml': { homeserver: 'other.org', datastores: stores(folder.path, { theirs: ['all'] }) } },
    })
    const bytes = randomBytes(5000)
    const first = await app.upload(bytes)
    const second = await app.upload(bytes, { token: CAROL.token, host: 'other.org' })
    const alone = randomBytes(100)
    const third = await app.upload(alone, { token: CAROL.token, host: 'other.org' })

    expect(second).toMatch(/^other\.org\//)
    expect([objects(app), held(app)]).toEqual([2, { ours: 5000, theirs: 100 }])
    expect([await filesBelow(join(folder.path, 'ours')), await filesBelow(join(folder.path, 'theirs'))]).toEqual([1, 1])
    for (const [media, body] of [
      [first, bytes],
      [second, bytes],
      [third, alone],
    ] as const) {
      expect(await download(app, media)).toMatchObject({ status: 200, body })
    }
  })

  test('are stored once although it would be the other datastore’s turn', async () => {
    await using folder = await temporaryFolder()
    await using app = await startApp({ config: { datastores: stores(folder.path, { one: ['all'], two: ['all'] }) } })
    const bytes = randomBytes(5000)
    const media = await Promise.all(Array.from({ length: 10 }, () => app.upload(bytes)))
    await app.upload(bytes, { name: 'again.bin' })
    expect(objects(app)).toBe(1)
    expect((await filesBelow(join(folder.path, 'one'))) + (await filesBelow(join(folder.path, 'two')))).toBe(1)
    expect(await download(app, media[0] ?? '')).toMatchObject({ status: 200, body: bytes })
  })
})
