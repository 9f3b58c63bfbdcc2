/** Archives where files are in a bucket: what they say of it, and imports that find the bytes only there. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, startApp, type TestApp } from '../support/app.ts'
import { BASE, download, ended, exported, filesIn, manifestOf, uploadArchive } from '../support/archives.ts'
import { describeWith } from '../support/services.ts'
import { startVersitygw, type Versitygw } from '../support/versitygw.ts'

const ADMIN = { token: 'syt_admin_Ag5h', userId: '@admin:example.org', admin: true }

describeWith('versitygw', 'Exports of files in a bucket', () => {
  let bucket: Versitygw
  let from: TestApp
  let to: TestApp
  beforeAll(async () => {
    bucket = await startVersitygw()
    const opts = { ...bucket.options, prefixLength: 2 }
    const datastores = [{ type: 's3', id: 's3', forKinds: ['all'], opts }]
    ;[from, to] = await Promise.all([
      startApp({ config: { admins: [ADMIN.userId], datastores } }),
      startApp({ config: { admins: [ADMIN.userId], datastores: datastores.map((one) => ({ ...one, id: 'its' })) } }),
    ])
    for (const app of [from, to]) app.homeserver.addUser(ADMIN)
  })
  afterAll(async () => {
    await from[Symbol.asyncDispose]()
    await to[Symbol.asyncDispose]()
    await bucket[Symbol.asyncDispose]()
  })

  test('have bytes and addresses; an import without the parts copies from the bucket what it has the hash of', async () => {
    const bodies = [randomBytes(5000), randomBytes(6000)]
    const first = await from.upload(bodies[0] ?? '')
    await from.upload(bodies[1] ?? '')
    const files = await download(from, await exported(from, 'example.org', ADMIN.token))
    const manifest = files.at(-1) ?? Buffer.alloc(0)
    const [one, two] = (await manifestOf(manifest))?.media ?? []
    expect(one?.s3Url).toMatch(/^https:\/\/[^/]+\/[^/]+\/..\/.+$/)
    expect((await filesIn(files[0] ?? Buffer.alloc(0))).get(one?.fileName ?? '')).toEqual(bodies[0])

    // The second's bytes are gone from the bucket: its address leads nowhere.
    const { location } = from.sql('SELECT location FROM objects WHERE sha256 = ?', two?.sha256 ?? '')[0] ?? {}
    await rm(join(bucket.folder, String(location)))

    const { importId, taskId } = await uploadArchive(to, [manifest], ADMIN.token)
    await to.ask(`${BASE}/import/${importId}/close`, { method: 'POST', token: ADMIN.token })
    expect(await ended(to, taskId, ADMIN.token)).toMatchObject({ progress: { copied: 1, missing: 1 } })
    const answer = await to.ask(`/_matrix/client/v1/media/download/${first}`, { token: ALICE.token })
    expect(answer.body).toEqual(bodies[0])
    const [object] = to.sql('SELECT location FROM objects WHERE sha256 = ?', one?.sha256 ?? '')
    expect(one?.s3Url.endsWith(String(object?.['location'])), 'it is a copy of its own').toBe(false)
  })

  test('say nothing of the bucket where s3_urls is false', async () => {
    await from.upload(randomBytes(50))
    const path = `${BASE}/server/example.org/export?s3_urls=false`
    const { json } = await from.ask(path, { method: 'POST', token: ADMIN.token })
    await ended(from, Number(json['task_id']), ADMIN.token)
    const files = await download(from, String(json['export_id']))
    const manifest = await manifestOf(files.at(-1) ?? Buffer.alloc(0))
    expect(new Set(manifest?.media.map(({ s3Url }) => s3Url))).toEqual(new Set(['']))
  })
})
