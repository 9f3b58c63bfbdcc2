import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, eventually, startApp, type TestApp } from '../support/app.ts'
import { noise } from '../support/images.ts'

const SIZES = [
  { width: 32, height: 32 },
  { width: 120, height: 90 },
]
const config = (preGenerate: boolean) => ({ thumbnails: { preGenerate, sizes: SIZES } })

let app: TestApp
beforeAll(async () => {
  app = await startApp({ config: config(true) })
})
afterAll(() => app[Symbol.asyncDispose]())

const picture = () => noise({ width: 300, height: 200 }).png().toBuffer()
const generated = () => app.log().split('"msg":"thumbnail generated"').length - 1

function madeOf(media: string): string[] {
  const rows = app.sql(
    `SELECT t.width, t.height, t.method FROM thumbnails t JOIN media m ON m.sha256 = t.source_sha256 WHERE m.media_id = ?
     ORDER BY t.width, t.method`,
    media.split('/')[1] ?? '',
  )
  return rows.map(({ width, height, method }) => `${String(width)}x${String(height)} ${String(method)}`)
}
const ALL = ['32x32 crop', '32x32 scale', '120x90 scale']

describe('With thumbnails.preGenerate', () => {
  test('thumbnails of an upload are there before anybody asks', async () => {
    const media = await app.upload(await picture(), { type: 'image/png' })
    await eventually(() => madeOf(media).length === ALL.length, 30_000)
    expect(madeOf(media)).toEqual(ALL)
    // What is committed is told a moment later.
    await eventually(() => generated() === ALL.length)
    for (const query of ['width=32&height=32&method=crop', 'width=100&height=80']) {
      const path = `/_matrix/client/v1/media/thumbnail/${media}?${query}`
      expect((await app.ask(path, { token: ALICE.token })).status).toBe(200)
    }
    expect(generated()).toBe(ALL.length)
  })

  test('those of a reserved id are, too', async () => {
    const { json } = await app.ask('/_matrix/media/v1/create', { method: 'POST', token: ALICE.token })
    const media = String(json['content_uri']).slice('mxc://'.length)
    const body = { method: 'PUT', body: await picture(), token: ALICE.token, headers: { 'content-type': 'image/png' } }
    expect((await app.ask(`/_matrix/media/v3/upload/${media}`, body)).status).toBe(200)
    await eventually(() => madeOf(media).length === ALL.length, 30_000)
  })

  test('what is no picture, whatever it is called, is no trouble', async () => {
    await app.upload(Buffer.from('some text'), { type: 'image/png' })
    const media = await app.upload(await picture(), { type: 'image/png' })
    await eventually(() => madeOf(media).length === ALL.length, 30_000)
    expect(app.log()).not.toContain('could not make thumbnails')
  })

  test('nothing is made where it is off', async () => {
    await app.reload(config(false))
    const without = await app.upload(await picture(), { type: 'image/png' })
    await app.reload(config(true))
    const media = await app.upload(await picture(), { type: 'image/png' })
    await eventually(() => madeOf(media).length === ALL.length, 30_000)
    expect(madeOf(without)).toEqual([])
  })

  test('the server ends at once, whatever is still to be made', async () => {
    await using busy = await startApp({ config: config(true) })
    const pictures = await Promise.all(Array.from({ length: 20 }, picture))
    await Promise.all(pictures.map((bytes) => busy.upload(bytes, { type: 'image/png' })))
    await busy[Symbol.asyncDispose]()
    expect(busy.log()).not.toContain('could not make thumbnails')
  })
})
