import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, BOB, eventually, heldClock, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { LOOPBACK_ALLOWED, pageSaying, previewPath, startWebSite, type WebSite } from '../support/web-site.ts'

const ADMIN = { token: 'syt_admin_Hh4s', userId: '@admin:example.org' }
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const ADMIN_API = '/_matrix/media/unstable/admin'

const cleanup = new AsyncDisposableStack()
const clock = heldClock()
let site: WebSite
let folder: string
let app: TestApp
beforeAll(async () => {
  site = cleanup.use(await startWebSite())
  folder = cleanup.use(await temporaryFolder()).path
  app = await start()
})
afterAll(async () => {
  await app[Symbol.asyncDispose]()
  await cleanup.disposeAsync()
})

async function start(): Promise<TestApp> {
  const urlPreviews = { ...LOOPBACK_ALLOWED, expireAfterDays: 3 }
  const config = { urlPreviews, admins: [ADMIN.userId], quarantine: { replaceThumbnails: false } }
  const started = await startApp({ clock, folder, config })
  started.homeserver.addUser(ADMIN)
  return started
}

async function preview(path: string): Promise<Record<string, unknown>> {
  const { status, json } = await app.ask(previewPath(site.urlOf(path)), { token: ALICE.token })
  if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(json)}`)
  return json
}

/** A page with a picture of its own; gives `example.org/MEDIA_ID` of that. */
async function withPicture(name: string, colour: string): Promise<string> {
  await site.picture(`/${name}.png`, 300, 200, colour)
  site.page(`/${name}`, pageSaying({ title: name, image: site.urlOf(`/${name}.png`) }))
  return mediaOf(await preview(`/${name}`))
}

const mediaOf = ({ 'og:image': mxc }: Record<string, unknown>) => String(mxc).slice('mxc://'.length)
const download = (media: string, kind = 'download') =>
  app.ask(`/_matrix/client/v1/media/${kind}/${media}?width=32&height=32`, { token: BOB.token })
const administer = (method: string, path: string) => app.ask(`${ADMIN_API}/${path}`, { method, token: ADMIN.token })

describe('The picture of a preview', () => {
  test('is downloaded and thumbnailed like any media of the homeserver', async () => {
    const media = await withPicture('like-any', '#102030')
    const { status, headers, body } = await download(media)
    expect([status, headers['content-type']]).toEqual([200, 'image/png'])
    expect(body.length).toBeGreaterThan(100)
    expect((await download(media, 'thumbnail')).status).toBe(200)
    const anonymous = await app.ask(`/_matrix/media/v3/download/${media}`)
    expect(anonymous.status, 'frozen like everything else').toBe(404)
  })

  test('is one media for all previews and hours that show it, and counts to nobody', async () => {
    const media = await withPicture('shared', '#203040')
    site.page('/shared-too', pageSaying({ title: 'Too', image: site.urlOf('/shared.png') }))
    expect(mediaOf(await preview('/shared-too'))).toBe(media)
    clock.wait(2 * HOUR_MS)
    expect(mediaOf(await preview('/shared'))).toBe(media)
    expect(site.asked('/shared')).toBe(2)
    const rows = app.sql('SELECT kind, uploader FROM media WHERE media_id = ?', media.split('/')[1] ?? '')
    expect(rows).toEqual([{ kind: 'preview', uploader: null }])
    const usage = await app.ask('/_matrix/media/unstable/org.matrix.msc4034/usage', { token: ALICE.token })
    expect(usage.json).toEqual({})
  })

  test('may stand in the page itself', async () => {
    const png = (await site.picture('/data.png', 60, 40)).toString('base64')
    site.page('/data', pageSaying({ title: 'Inline', image: `data:image/png;base64,${png}` }))
    expect(await preview('/data')).toMatchObject({ 'og:image:width': 60, 'og:image:type': 'image/png' })
  })

  test('is what its bytes are, whatever the page says', async () => {
    await site.picture('/lie.jpg', 70, 50)
    const said = { image: site.urlOf('/lie.jpg'), 'image:type': 'image/jpeg', 'image:width': '9999' }
    site.page('/lie', pageSaying({ title: 'Lie', ...said }))
    expect(await preview('/lie')).toMatchObject({ 'og:image:type': 'image/png', 'og:image:width': 70 })
  })
})

describe('Moderation', () => {
  test('takes a quarantined picture out of previews at once, keeps it out of new ones, and gives it back', async () => {
    const media = await withPicture('bad', '#304050')
    await preview('/bad')
    expect((await administer('POST', `quarantine/${media}`)).json).toEqual({ num_quarantined: 1 })
    expect(await preview('/bad')).toEqual({ 'og:title': 'bad' })
    expect((await download(media)).status).toBe(404)
    site.page('/bad-too', pageSaying({ title: 'Too', image: site.urlOf('/bad.png') }))
    expect(await preview('/bad-too')).toEqual({ 'og:title': 'Too' })
    expect(app.log()).toContain('a preview goes without its picture')
    expect((await administer('DELETE', `quarantine/${media}`)).json).toEqual({ num_released: 1 })
    expect(mediaOf(await preview('/bad'))).toBe(media)
  })

  test('keeps out what somebody uploaded before, and uploads of what was a picture', async () => {
    const png = await site.picture('/known.png', 80, 60, '#405060')
    const uploaded = await app.upload(png)
    await administer('POST', `quarantine/${uploaded}`)
    site.page('/known', pageSaying({ title: 'Known', image: site.urlOf('/known.png') }))
    expect(await preview('/known')).toEqual({ 'og:title': 'Known' })
    const media = await withPicture('worse', '#506070')
    const { body } = await download(media)
    await administer('POST', `quarantine/${media}`)
    await expect(app.upload(body)).rejects.toThrow('403')
  })

  test('that deletes a picture leaves the preview without one', async () => {
    const media = await withPicture('deleted', '#607080')
    expect((await administer('POST', `purge/${media}`)).json).toEqual({ purged: true })
    expect(await preview('/deleted')).toEqual({ 'og:title': 'deleted' })
    expect((await download(media)).status).toBe(404)
  })
})

describe('Administrators of the repository', () => {
  test('list and look at previews and failures, by address and host', async () => {
    const media = await withPicture('listed', '#708090')
    await app.ask(previewPath(site.urlOf('/not-there')), { token: ALICE.token })
    const url = (path: string) => `previews?url=${encodeURIComponent(site.urlOf(path))}`
    const { json } = await administer('GET', url('/listed'))
    const times = { created_ts: expect.any(Number), fresh_until_ts: expect.any(Number) }
    const about = { homeserver: 'example.org', url: site.urlOf('/listed'), language: 'en-US,en;q=0.9' }
    const found = { ...about, ...times, previewer: 'opengraph', image: `mxc://${media}` }
    expect(json).toEqual({
      previews: [{ ...found, preview: expect.objectContaining({ 'og:title': 'listed' }) }],
      total: 1,
    })
    const failed = (await administer('GET', url('/not-there'))).json['previews'] as { failure: unknown }[]
    expect(failed[0]?.failure).toEqual({ why: 'status', detail: expect.stringContaining('404') })
    const page = await administer('GET', 'previews?host=127.0.0.1&limit=2&from=1')
    expect(page.json).toMatchObject({ next_token: 3, previews: [{}, {}] })
    expect((await administer('GET', 'previews?host=0.0.1')).json).toMatchObject({ total: 0 })
    expect(await administer('GET', 'previews?host=a/b')).toMatchObject({ status: 400 })
  })

  test('purge them by address, with the picture that nothing else shows', async () => {
    const media = await withPicture('purged', '#8090a0')
    const files = (await app.files()).length
    site.page('/purged', pageSaying({ title: 'anew' }))
    const url = encodeURIComponent(site.urlOf('/purged'))
    expect((await administer('DELETE', `previews?url=${url}`)).json).toEqual({ removed: 1, pictures_removed: 1 })
    expect((await download(media)).status).toBe(404)
    expect(await app.files()).toHaveLength(files - 1)
    expect(await preview('/purged')).toEqual({ 'og:title': 'anew' })
  })

  test('purge them by host, all of them', async () => {
    await withPicture('by-host', '#90a0b0')
    const before = Number((await administer('GET', 'previews?host=127.0.0.1')).json['total'])
    expect(before).toBeGreaterThan(5)
    const { json } = await administer('DELETE', 'previews?host=127.0.0.1')
    expect(json).toMatchObject({ removed: before })
    expect(app.sql('SELECT * FROM previews')).toEqual([])
    expect(app.sql(`SELECT media_id FROM media WHERE kind = 'preview' AND quarantined_at IS NULL`)).toEqual([])
  })

  test('say which, and are nobody else', async () => {
    expect(await administer('DELETE', 'previews')).toMatchObject({ status: 400, json: { errcode: 'M_MISSING_PARAM' } })
    for (const method of ['GET', 'DELETE']) {
      const answer = await app.ask(`${ADMIN_API}/previews?host=127.0.0.1`, { method, token: ALICE.token })
      expect(answer).toMatchObject({ status: 403, json: { errcode: 'M_FORBIDDEN' } })
    }
  })
})

test('Previews that nobody asked for in urlPreviews.expireAfterDays go by themselves, with their pictures', async () => {
  const old = await withPicture('old', '#a0b0c0')
  await app.ask(previewPath(site.urlOf('/failed')), { token: ALICE.token })
  clock.wait(2 * DAY_MS)
  const young = await withPicture('young', '#b0c0d0')
  clock.wait(2 * DAY_MS)
  await app[Symbol.asyncDispose]()
  {
    // So that all jobs are due at the next start.
    using db = new DatabaseSync(join(folder, 'data', 'cellarium.sqlite'))
    db.exec('DELETE FROM jobs')
  }
  app = await start()
  await eventually(() => app.sql('SELECT url FROM previews').length === 1, 60_000)
  expect((await download(old)).status).toBe(404)
  expect((await download(young)).status).toBe(200)
  await eventually(() => app.log().includes('"msg":"previews removed"'), 60_000)
})
