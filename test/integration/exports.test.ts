/** Exports by the API: what is in them, who may have them, what their page shows. */
import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/db/connect.ts'
import { openFileDatastore } from '../../src/datastores/file.ts'
import { namedLocations } from '../../src/db/named-locations.ts'
import { mediaOf } from '../../src/media/exports/source.ts'
import { optionsOf } from '../contract/folder.ts'
import { ALICE, BOB, eventually, type HeldClock, heldClock, startApp, type TestApp } from '../support/app.ts'
import { BASE, download, exported, filesIn, manifestOf, metadataOf, pieces, sha256 } from '../support/archives.ts'
import { noise } from '../support/images.ts'
import { recordingLog } from '../support/log.ts'

const ADMIN = { token: 'syt_admin_Ag5h', userId: '@admin:example.org', admin: true }
const CAROL = { token: 'syt_carol_Bd7h', userId: '@carol:example.org' }
const LOCAL = { token: 'syt_local_Uj7t', userId: '@local:example.org', admin: true }

let app: TestApp
let clock: HeldClock
beforeAll(async () => {
  clock = heldClock()
  const config = { admins: [ADMIN.userId], archiving: { targetBytesPerPart: 60_000 } }
  app = await startApp({ config, clock })
  for (const user of [ADMIN, CAROL, LOCAL]) app.homeserver.addUser(user)
})
afterAll(async () => await app[Symbol.asyncDispose]())

const order = async (path: string, token: string) => await app.ask(`${BASE}/${path}/export`, { method: 'POST', token })

describe('An export of a user', () => {
  test('has all that they uploaded, in parts, with names, times and hashes, and nothing of others', async () => {
    const bodies = [randomBytes(50_000), randomBytes(20_000), randomBytes(20_000), Buffer.alloc(0)]
    const names: string[] = []
    for (const [index, body] of bodies.entries()) {
      names.push(await app.upload(body, { token: BOB.token, name: `☕ ${index}.bin`, type: 'application/pdf' }))
    }
    await app.upload(randomBytes(10))
    const files = await download(app, await exported(app, BOB.userId, ADMIN.token))
    expect(files).toHaveLength(3)
    const manifest = await manifestOf(files[2] ?? Buffer.alloc(0))
    expect(manifest).toMatchObject({ entity: BOB.userId })
    expect(manifest?.media.map(({ mediaId }) => `example.org/${mediaId}`)).toEqual(names)
    const inParts = new Map([
      ...(await filesIn(files[0] ?? Buffer.alloc(0))),
      ...(await filesIn(files[1] ?? Buffer.alloc(0))),
    ])
    for (const [index, media] of (manifest?.media ?? []).entries()) {
      const body = bodies[index] ?? Buffer.alloc(0)
      const [row] = app.sql('SELECT created_at FROM media WHERE media_id = ?', media.mediaId)
      expect(inParts.get(media.fileName)).toEqual(body)
      expect(media).toMatchObject({
        name: `☕ ${index}.bin`,
        contentType: 'application/pdf',
        uploader: BOB.userId,
        sha256: sha256(body),
        createdAt: row?.['created_at'],
        s3Url: '',
      })
    }
  })

  test('leaves out what is quarantined or lost, and says so in its metadata, its page and the archive', async () => {
    const [fine, bad, lost] = await Promise.all(
      [1, 2, 3].map((index) => app.upload(randomBytes(1000 + index), { token: CAROL.token })),
    )
    await app.ask(`${BASE}/quarantine/${bad}`, { method: 'POST', token: ADMIN.token })
    app.sql(
      'UPDATE objects SET lost_at = 1 WHERE sha256 IN (SELECT sha256 FROM media WHERE media_id = ?)',
      lost?.split('/')[1] ?? '',
    )
    const id = await exported(app, CAROL.userId, ADMIN.token)
    expect(await metadataOf(app, id)).toMatchObject({ media: 1, left_out: { quarantined: 1, missing: 1 } })
    const files = await download(app, id)
    const manifest = files.at(-1) ?? Buffer.alloc(0)
    expect((await manifestOf(manifest))?.media.map(({ mediaId }) => `example.org/${mediaId}`)).toEqual([fine])
    const note = 'Not in this archive: 1 quarantined by the administrators, 1 lost on the server.'
    expect((await filesIn(manifest)).get('index.html')?.toString()).toContain(note)
    const { body } = await app.ask(`${BASE}/export/${id}/view`)
    expect(body.toString()).toContain(note)
    expect(body.toString()).toContain('Not here: quarantined by the administrators')
  })

  test('is as a whole out of reach where something in it is quarantined later, until there is a new one', async () => {
    const media = await app.upload(randomBytes(500), { token: LOCAL.token })
    const id = await exported(app, LOCAL.userId, ADMIN.token)
    expect((await app.ask(`${BASE}/export/${id}/file/1`)).status).toBe(200)
    await app.ask(`${BASE}/quarantine/${media}`, { method: 'POST', token: ADMIN.token })
    for (const path of ['part/1', 'file/1']) {
      const { status, json } = await app.ask(`${BASE}/export/${id}/${path}`)
      expect([path, status, json['errcode']]).toEqual([path, 404, 'M_NOT_FOUND'])
    }
    expect((await app.ask(`${BASE}/export/${id}/part/2`)).status, 'the manifest').toBe(200)
    await app.ask(`${BASE}/purge/quarantined`, { method: 'POST', token: ADMIN.token })
    expect((await app.ask(`${BASE}/export/${id}/part/1`)).status, 'deleted, and blocked').toBe(404)
  })

  test('is deleted, with its files, and its links lead nowhere', async () => {
    await app.upload(randomBytes(500))
    const id = await exported(app, ALICE.userId, ADMIN.token)
    const [file] = app.sql('SELECT location FROM export_parts WHERE export_id = ?', id)
    expect((await app.ask(`${BASE}/export/${id}`, { method: 'DELETE' })).json).toEqual({})
    for (const path of ['metadata', 'view', 'part/1', 'file/1']) {
      expect([path, (await app.ask(`${BASE}/export/${id}/${path}`)).status]).toEqual([path, 404])
    }
    expect((await app.ask(`${BASE}/export/${id}`, { method: 'DELETE' })).status).toBe(404)
    expect(app.sql('SELECT location FROM unused_objects')).toContainEqual({ location: file?.['location'] })
    expect(app.sql('SELECT 1 FROM export_media WHERE export_id = ?', id)).toEqual([])
    const lines = app.sql(
      "SELECT action, actor, subject FROM audit WHERE action LIKE '%export%' ORDER BY id DESC LIMIT 2",
    )
    expect(lines).toEqual([
      { action: 'delete_export', actor: '', subject: ALICE.userId },
      { action: 'export_user_data', actor: ADMIN.userId, subject: ALICE.userId },
    ])
  })

  test('is over after archiving.keepDays', async () => {
    const id = await exported(app, BOB.userId, ADMIN.token)
    const { created_ts: created, expires_ts: expires } = await metadataOf(app, id)
    expect((expires ?? 0) - created).toBe(14 * 24 * 3_600_000)
    clock.wait(14 * 24 * 3_600_000)
    expect((await app.ask(`${BASE}/export/${id}/metadata`)).status).toBe(404)
    expect((await app.ask(`${BASE}/export/${id}/part/1`)).status).toBe(404)
  })
})

test('An export of a server has what all its users uploaded', async () => {
  const media = [await app.upload(randomBytes(9)), await app.upload(randomBytes(9), { token: BOB.token })]
  const files = await download(app, await exported(app, 'example.org', ADMIN.token))
  const found = (await manifestOf(files.at(-1) ?? Buffer.alloc(0)))?.media.map(
    ({ mediaId }) => `example.org/${mediaId}`,
  )
  for (const one of media) expect(found).toContain(one)
})

test('What is moved or deleted after it was listed is taken from where it is then, or not missed', async () => {
  const path = join(app.folder, 'elsewhere')
  await using datastore = await openFileDatastore(optionsOf(path), { now: Date.now, newName: randomUUID })
  const user = '@dora:example.org'
  for (let n = 0; n < 3; n++) {
    const id = await app.upload(Buffer.from(`the ${n}th of Dora`), { token: ALICE.token })
    app.sql('UPDATE media SET uploader = ? WHERE media_id = ?', user, id.split('/')[1] ?? '')
  }
  await using db = await readingDatabase()
  const parts = { db, datastores: { get: () => datastore }, signal: new AbortController().signal }
  const listed = mediaOf(parts, { entity: user, createdAt: clock.now(), withS3Urls: false }, undefined)
  const found: unknown[] = []
  for (let n = 0; n < 3; n++) {
    const { value } = await listed.next()
    if (!value || !('open' in value)) throw new Error('nothing to open')
    const { sha256: hash, mediaId } = value.media
    if (n === 1) app.sql('DELETE FROM media WHERE media_id = ?', mediaId)
    if (n === 0) {
      await using staged = await datastore.stage(pieces(Buffer.from('the 0th of Dora')), { maxBytes: 0 })
      const location = await datastore.put(staged, { contentType: 'text/plain' })
      app.sql('UPDATE objects SET location = ? WHERE sha256 = ?', location, hash)
    }
    const opened = await value.open()
    found.push(typeof opened === 'object' ? opened.size : opened)
  }
  expect(found).toEqual([15, 'deleted', undefined])
})

test('The files of exports have their names in the records, so that no sweep takes them', async () => {
  const id = await exported(app, BOB.userId, ADMIN.token)
  const files = app.sql('SELECT datastore, location FROM export_parts WHERE export_id = ?', id)
  await using db = await readingDatabase()
  for (const { datastore, location } of files) {
    expect(await namedLocations(db.read, String(datastore), [String(location)])).toEqual(new Set([location]))
  }
  expect(files.length).toBeGreaterThan(1)
})

const readingDatabase = async () =>
  await openDatabase(
    { postgres: '', sqlite: join(app.folder, 'data', 'cellarium.sqlite') } as never,
    'tool',
    recordingLog().log,
  )

const settings = (archiving: object) => ({
  admins: [ADMIN.userId],
  archiving: { targetBytesPerPart: 60_000, ...archiving },
})

describe('Self-service', () => {
  test('is off at first, on where archiving.selfService says so, and nobody gets at others’ media by it', async () => {
    expect((await order(`user/${BOB.userId}`, BOB.token)).status).toBe(403)
    await app.reload(settings({ selfService: true }))
    expect((await order(`user/${BOB.userId}`, BOB.token)).status).toBe(200)
    expect((await order(`user/${ALICE.userId}`, BOB.token)).status).toBe(403)
    expect((await order('server/example.org', BOB.token)).status).toBe(403)
    expect((await order(`user/${BOB.userId}`, LOCAL.token)).status, 'an administrator of the homeserver').toBe(200)
    expect((await order('server/example.org', LOCAL.token)).status).toBe(200)
    expect((await order('server/other.example', LOCAL.token)).status).toBe(403)
    await app.reload(settings({}))
  })

  test('nobody exports or imports where archiving.enabled is false', async () => {
    await app.reload(settings({ enabled: false }))
    expect((await order(`user/${BOB.userId}`, ADMIN.token)).json).toMatchObject({ error: 'archiving is not enabled' })
    const { json } = await app.ask(`${BASE}/import`, { method: 'POST', token: ADMIN.token, body: 'x' })
    expect(json).toMatchObject({ error: 'archiving is not enabled' })
    await app.reload(settings({}))
  })
})

describe('The page of an export', () => {
  test('works without scripts: pages of media, pictures, downloads, a button that deletes', async () => {
    const user = { token: 'syt_dave_Kl2p', userId: '@dave:example.org' }
    app.homeserver.addUser(user)
    const png = await noise({ width: 40, height: 30 }).png().toBuffer()
    await app.upload(png, { token: user.token, name: '<b>"&\'.png' })
    await app.upload('<svg xmlns="http://www.w3.org/2000/svg"/>', { token: user.token, type: 'image/svg+xml' })
    for (let n = 0; n < 51; n++) await app.upload(randomBytes(9), { token: user.token, type: 'application/x-any' })
    const id = await exported(app, user.userId, ADMIN.token)
    const { status, headers, body } = await app.ask(`${BASE}/export/${id}/view`)
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=UTF-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    })
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; img-src 'self' data:; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'$/,
    )
    expect(headers['x-content-security-policy']).toBeUndefined()
    const html = body.toString()
    expect(html).toContain('<a href="file/1"><bdi>&lt;b&gt;&quot;&amp;&apos;.png</bdi></a>')
    expect(html).not.toContain('<b>')
    expect(html).toContain('<img src="file/1/picture" alt="" loading="lazy">')
    expect(html, 'SVG may hold scripts').not.toContain('<img src="file/2')
    expect(html).toContain('<a href="part/1"><bdi>export-part-1.tgz</bdi></a>')
    expect(html).toContain('<a rel="next" href="view?from=50">')
    const shown = await app.ask(`${BASE}/export/${id}/file/1`)
    expect(shown.body).toEqual(png)
    expect(shown.headers['content-disposition']).toMatch(/^inline/)
    expect((await app.ask(`${BASE}/export/${id}/file/2`)).headers['content-disposition']).toMatch(/^attachment/)
    const second = (await app.ask(`${BASE}/export/${id}/view?from=50`)).body.toString()
    expect(second.match(/<li><span/g)).toHaveLength(3)
    expect(second).toContain('href="view?from=0"')
    const deleted = await app.ask(`${BASE}/export/${id}/delete`, { method: 'POST' })
    expect(deleted.body.toString()).toContain('It is deleted.')
    await eventually(async () => (await app.ask(`${BASE}/export/${id}/view`)).status === 404)
  })
})

describe('The pictures of an export', () => {
  const FRANK = { token: 'syt_frank_Jw4x', userId: '@frank:example.org' }

  test('are thumbnails, or the files themselves where there are none; never of other types', async () => {
    app.homeserver.addUser(FRANK)
    const avif = await noise({ width: 40, height: 30 }).avif().toBuffer()
    const png = await noise({ width: 900, height: 600 }).png().toBuffer()
    await app.upload(png, { token: FRANK.token, type: 'image/png' })
    await app.upload(avif, { token: FRANK.token, type: 'image/avif' })
    await app.upload('no picture', { token: FRANK.token, type: 'text/plain' })
    await app.reload({ ...settings({}), thumbnails: { types: ['image/png'] } })
    const id = await exported(app, FRANK.userId, ADMIN.token)
    const pictures = await Promise.all(
      [1, 2, 3, 4].map((number) => app.ask(`${BASE}/export/${id}/file/${number}/picture`)),
    )
    await app.reload(settings({}))
    const [small, whole, none, nowhere] = pictures
    expect(small?.headers).toMatchObject({ 'content-type': 'image/png', 'cache-control': 'private, no-store' })
    expect((small?.body.length ?? 0) < png.length / 4).toBe(true)
    expect(whole?.body).toEqual(avif)
    expect([none?.status, nowhere?.status]).toEqual([400, 404])
  })

  test('are gone with the files that are lost, and are no failures of the server', async () => {
    const media = await app.upload(await noise({ width: 50, height: 30 }).png().toBuffer(), { token: FRANK.token })
    const id = await exported(app, FRANK.userId, ADMIN.token)
    app.sql(
      "UPDATE objects SET location = 'nowhere' WHERE sha256 = (SELECT sha256 FROM media WHERE media_id = ?)",
      media.split('/')[1] ?? '',
    )
    for (const what of ['file/4', 'file/4/picture']) {
      expect([what, (await app.ask(`${BASE}/export/${id}/${what}`)).status]).toEqual([what, 404])
    }
  })
})

test('Nobody finds an export by guessing', async () => {
  const id = await exported(app, BOB.userId, ADMIN.token)
  expect(id).toMatch(/^[0-9a-f]{32}$/)
  const { status, json } = await app.ask(`${BASE}/export/${'0'.repeat(32)}/metadata`)
  expect([status, json['errcode']]).toEqual([404, 'M_NOT_FOUND'])
})
