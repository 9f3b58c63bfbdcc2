import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { ALICE, type Asked, BOB, eventually } from '../support/app.ts'
import {
  asking,
  begin,
  downloadOf,
  type Federated,
  halved,
  legacyDownloadOf,
  readWhole,
  startFederated,
  thumbnailOf,
} from '../support/remote.ts'
import { mixed, response, type Script, startScriptedOrigin } from '../support/scripted-origin.ts'
import { describeWith } from '../support/services.ts'

const { token } = ALICE
const SECRET = 'shared_secret_Jk1z'
const OPEN = { admins: [ALICE.userId], sharedSecretAuth: { enabled: true, token: SECRET } }

let world: Federated
const configure = async (config: object) => {
  const { federation } = await asking(world.app.folder)
  await world.app.reload({ ...OPEN, federation, ...config })
}
const download = (media: string, asked: Asked = {}) => world.app.ask(downloadOf(media), { token, ...asked })
const legacy = (media: string, query = '', asked: Asked = {}) => world.app.ask(legacyDownloadOf(media) + query, asked)
const rows = (media: string) => world.app.sql('select * from media where media_id = ?', media.split('/')[1] ?? '')

describeWith('openssl', 'Files of other servers', () => {
  beforeAll(async () => void (world = await startFederated({ config: OPEN })))
  afterAll(() => world[Symbol.asyncDispose]())
  beforeEach(() => configure({}))

  test('are for authenticated callers only when they were fetched while media are frozen, for good', async () => {
    await configure({ repo: { freezeUnauthenticatedMedia: true } })
    const media = world.remote.put(randomBytes(100))
    for (const path of [legacyDownloadOf(media), thumbnailOf(media).replace('client/v1/media', 'media/v3')]) {
      const { status, json } = await world.app.ask(path)
      expect([status, json['error']]).toEqual([404, 'authentication is required to download this media'])
    }
    expect(world.remote.asked(media), 'nobody is asked for what the caller may not have').toBe(0)
    expect(await download(media)).toMatchObject({ status: 200 })
    await configure({ repo: { freezeUnauthenticatedMedia: false } })
    expect(await legacy(media)).toMatchObject({ status: 404 })
    expect(await legacy(media, '', { token })).toMatchObject({ status: 200 })
  })

  test('are for everybody when they were fetched before that', async () => {
    await configure({ repo: { freezeUnauthenticatedMedia: false } })
    const media = world.remote.put(randomBytes(100))
    expect(await legacy(media)).toMatchObject({ status: 200 })
    await configure({ repo: { freezeUnauthenticatedMedia: true } })
    expect(await legacy(media)).toMatchObject({ status: 200 })
    const other = world.remote.put(randomBytes(100))
    expect(await legacy(other, '', { token }), 'a token on an older path counts').toMatchObject({ status: 200 })
    expect(await legacy(other)).toMatchObject({ status: 404 })
  })

  test('are not fetched for who asks not to, on older paths', async () => {
    const media = world.remote.put(randomBytes(100))
    expect(await legacy(media, '?allow_remote=false', { token })).toMatchObject({ status: 404 })
    expect(world.remote.asked(media)).toBe(0)
    expect(await download(`${media}?allow_remote=false`)).toMatchObject({ status: 200 })
    expect(await legacy(media, '?allow_remote=false', { token })).toMatchObject({ status: 200 })
  })

  test('are neither fetched nor served from ignored hosts, except to administrators', async () => {
    const kept = world.remote.put(randomBytes(100))
    await download(kept)
    const { federation } = await asking(world.app.folder)
    await configure({ federation: { ...federation, ignoredHosts: [world.remote.name] } })
    const media = world.remote.put(randomBytes(100))
    for (const one of [media, kept]) {
      expect(await download(one, { token: BOB.token })).toMatchObject({
        status: 404,
        json: { error: 'Media blocked or not found' },
      })
    }
    expect(world.remote.asked(media)).toBe(0)
    expect(await download(media)).toMatchObject({ status: 200 })
  })

  test('are asked for anew once the configuration has changed, whatever was kept of a failure', async () => {
    const media = world.remote.put(randomBytes(100))
    await configure({ federation: {} })
    for (let round = 0; round < 2; round++) expect(await download(media)).toMatchObject({ status: 502 })
    await configure({})
    expect(await download(media)).toMatchObject({ status: 200 })
  })

  test('are not looked for elsewhere under a name of ours, however it is spelt', async () => {
    for (const name of ['example.org', 'Example.ORG']) {
      expect(await download(`${name}/not_here`)).toMatchObject({ status: 404 })
    }
    const lines = world.app.log().split('\n')
    expect(lines.filter((line) => line.includes('not_here') && line.includes('from its origin'))).toEqual([])
  })

  test('do not lead us from one to the next through our own older paths, by whatever name they call us', async () => {
    const { remote, app } = world
    // Frozen, they would not be fetched for anybody without a token anyway.
    await configure({ repo: { freezeUnauthenticatedMedia: false } })
    const seen: string[] = []
    // What stands for us in public, under a name that is none of our homeservers: as our proxy, it passes on who asks.
    const front: Script = async (talk, { target, headers }) => {
      seen.push(target)
      if (seen.length > 10) return talk.reset()
      const host = 'example.org'
      const { status, body } = await app.ask(target, { headers: { host, 'user-agent': headers['user-agent'] ?? '' } })
      await talk.send(response(status, body))
    }
    await using ours = await startScriptedOrigin({
      certificate: await remote.authority.issue('127.0.0.1'),
      script: front,
    })
    const next: Script = async (talk) => {
      const location = `https://127.0.0.1:${ours.port}${legacyDownloadOf(remote.put(next))}`
      await talk.send(mixed('', { headers: [`Location: ${location}`] }))
    }
    const media = remote.put(next)
    expect(await download(media)).toMatchObject({ status: 502 })
    expect(seen).toHaveLength(1)
    expect(await legacy(remote.put(randomBytes(100)), '', { headers: { 'user-agent': 'Element' } })).toMatchObject({
      status: 200,
    })
  })
})

describeWith('openssl', 'Two homeservers of one Cellarium', () => {
  test('fetch a file once', async () => {
    const otherHomeservers = [{ name: 'two.example', csApi: 'http://127.0.0.1:9' }]
    await using both = await startFederated({ config: OPEN, otherHomeservers })
    const bytes = randomBytes(300_000)
    const file = halved(bytes)
    const media = both.remote.put(file.script)
    const one = both.app.ask(downloadOf(media), { token: SECRET })
    await file.begun
    const other = both.app.ask(downloadOf(media), { token: SECRET, headers: { host: 'two.example' } })
    await pause(200)
    file.goOn()
    for (const { status, body } of await Promise.all([one, other])) {
      expect([status, body.equals(bytes)]).toEqual([200, true])
    }
    expect(both.remote.asked(media)).toBe(1)
  })
})

describeWith('openssl', 'Quarantined content', () => {
  beforeEach(async () => void (world = await startFederated({ config: OPEN })))
  afterEach(() => world[Symbol.asyncDispose]())

  test.each([
    ['of a size that is said', true],
    ['of a size that nobody knows', false],
  ])('does not come back from another server, not a byte of it: %s', async (_, announced) => {
    const bytes = randomBytes(300_000)
    const blocked = await world.app.upload(bytes)
    await quarantine(blocked)
    const files = (await world.app.files()).length
    const file = halved(bytes, { announced, first: 250_000 })
    const media = world.remote.put(file.script)
    const answer = download(media)
    await file.begun
    file.goOn()
    expect(await answer).toMatchObject({ status: 404, json: { errcode: 'M_NOT_FOUND' } })
    expect(await download(media)).toMatchObject({ status: 404 })
    expect(world.remote.asked(media), 'that is remembered').toBe(1)
    expect(rows(media)).toEqual([])
    expect((await world.app.files()).length).toBe(files)
    await quarantine(blocked, 'DELETE')
    expect((await download(media)).body.equals(bytes), 'until it is released').toBe(true)
  })

  test('is waited for by nobody else: a file of another size is sent on while it comes', async () => {
    await quarantine(await world.app.upload(randomBytes(1000)))
    const file = halved(randomBytes(400_000))
    const media = world.remote.put(file.script)
    const response = await begin(world.app, media)
    expect(response.statusCode).toBe(200)
    file.goOn()
    await readWhole(response)
    expect(rows(media)).toHaveLength(1)
  })

  test('that is quarantined while it comes is never complete, and not kept', async () => {
    const bytes = randomBytes(400_000)
    const file = halved(bytes)
    const media = world.remote.put(file.script)
    const response = await begin(world.app, media)
    await quarantine(await world.app.upload(bytes))
    file.goOn()
    await expect(readWhole(response)).rejects.toThrow('aborted')
    expect(rows(media)).toEqual([])
  })

  test('that was deleted is not even asked for under its name, and stays blocked under others', async () => {
    const bytes = randomBytes(300_000)
    const media = world.remote.put(bytes)
    await download(media)
    await quarantine(media)
    await purge(media)
    expect(await download(media)).toMatchObject({ status: 404 })
    expect(world.remote.asked(media)).toBe(1)
    const other = world.remote.put(bytes)
    expect(await download(other)).toMatchObject({ status: 404 })
    expect(rows(other)).toEqual([])
  })
})

describeWith('openssl', 'A lost file of another server', () => {
  beforeEach(async () => void (world = await startFederated({ config: OPEN })))
  afterEach(() => world[Symbol.asyncDispose]())

  test('is fetched again by the next who asks, and is the same as before', async () => {
    const bytes = randomBytes(200_000)
    const media = world.remote.put(bytes)
    await lose(media)
    const [before] = rows(media)
    const { status, body } = await download(media)
    expect([status, body.equals(bytes)]).toEqual([200, true])
    expect(rows(media)).toEqual([before])
    expect(world.app.sql('select lost_at from objects')).toEqual([{ lost_at: null }])
    expect((await download(media)).body.equals(bytes)).toBe(true)
    expect(world.remote.asked(media)).toBe(2)
  })

  test('stays lost when its server sends something else now', async () => {
    let bytes = randomBytes(1000)
    const media = world.remote.put(async (talk) => await talk.send(mixed(bytes)))
    await lose(media)
    const [before] = rows(media)
    bytes = randomBytes(1000)
    expect(await download(media)).toMatchObject({ status: 404 })
    expect(rows(media)).toEqual([before])
    expect(world.app.sql('select sha256 from objects')).toEqual([{ sha256: before?.['sha256'] }])
    await eventually(async () => (await world.app.files()).length === 0)
  })

  test('is not fetched for who asks not to, nor for who may not have it', async () => {
    const media = world.remote.put(randomBytes(1000))
    await lose(media)
    expect(await legacy(media, '?allow_remote=false', { token })).toMatchObject({ status: 404 })
    world.app.sql('update media set quarantined_at = 1')
    expect(await download(media)).toMatchObject({ status: 404 })
    expect(world.remote.asked(media)).toBe(1)
  })
})

const quarantine = async (media: string, method = 'POST') =>
  expect(
    await world.app.ask(`/_matrix/media/unstable/admin/quarantine/${media}`, { method, token: SECRET }),
  ).toMatchObject({ status: 200 })

const purge = async (media: string) =>
  expect(
    await world.app.ask(`/_matrix/media/unstable/admin/purge/${media}`, { method: 'POST', token: SECRET }),
  ).toMatchObject({ status: 200 })

/** Fetches a file, deletes what was stored, and marks it as lost. */
const lose = async (media: string) => {
  const { body } = await download(media)
  const [object] = world.app.sql('select * from objects')
  const [path] = (await world.app.files()).filter((file) => file.endsWith(String(object?.['location'])))
  await rm(path ?? '')
  world.app.sql('update objects set lost_at = ?', Date.now())
  return body
}
