import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { noise } from '../support/images.ts'

const SECRET = 'shared_secret_Vt5x'
const REPLACED = { replaceThumbnails: true, replaceDownloads: true }

let app: TestApp
let media: string
beforeAll(async () => {
  app = await startApp({ config: config(REPLACED) })
  media = await app.upload(await noise({ width: 200, height: 100 }).png().toBuffer(), { type: 'image/webp' })
  await quarantine('POST')
})
afterAll(() => app[Symbol.asyncDispose]())

function config(quarantined: Readonly<Record<string, unknown>>) {
  return { quarantine: quarantined, sharedSecretAuth: { enabled: true, token: SECRET } }
}

async function quarantine(method: 'POST' | 'DELETE'): Promise<void> {
  const path = `/_matrix/media/unstable/admin/quarantine/${media}`
  expect((await app.ask(path, { method, token: SECRET })).status).toBe(200)
}

const ask = (what: string, asked: { readonly method?: string; readonly headers?: Record<string, string> } = {}) =>
  app.ask(`/_matrix/client/v1/media/${what}`, { token: ALICE.token, ...asked })
const askDownload = () => ask(`download/${media}`)
const askThumbnail = (query = 'width=96&height=96&method=crop') => ask(`thumbnail/${media}?${query}`)

const statuses = async () => [(await askDownload()).status, (await askThumbnail()).status]

async function lookOf(body: Buffer): Promise<{ size: string; middle: string; corner: string }> {
  const { data, info } = await sharp(body).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)].join()
  const middle = at(Math.floor(info.width / 2), Math.floor(info.height / 2))
  return { size: `${info.width}x${info.height}`, middle, corner: at(0, 0) }
}
const SIGN = { middle: '184,52,44', corner: '224,224,224' }

describe('In place of quarantined media', () => {
  test('a sign for “not allowed” is sent, whatever type they were of', async () => {
    const { status, headers, body } = await askDownload()
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'image/png',
      'content-length': String(body.length),
      'content-disposition': 'inline; filename=not_allowed.png',
      'cache-control': 'private, no-cache',
    })
    expect(await lookOf(body)).toEqual({ size: '512x512', ...SIGN })
  })

  test.each([
    ['width=96&height=96&method=crop', '96x96'],
    ['width=33&height=20', '96x96'],
    ['width=320&height=240', '240x240'],
    ['width=9000&height=9000', '512x512'],
  ])('it fits the thumbnail asked for: %s', async (query, size) => {
    const { status, body } = await askThumbnail(query)
    expect([status, await lookOf(body)]).toEqual([200, { size, ...SIGN }])
  })

  test('it answers HEAD, ranges and ETags as files do', async () => {
    const whole = await askDownload()
    const head = await ask(`download/${media}`, { method: 'HEAD' })
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, `${whole.body.length}`, 0])
    const part = await ask(`download/${media}`, { headers: { range: 'bytes=1-3' } })
    expect([part.status, part.body.toString()]).toEqual([206, 'PNG'])
    const again = await ask(`download/${media}`, { headers: { 'if-none-match': String(whole.headers['etag']) } })
    expect([again.status, again.headers['cache-control']]).toEqual([304, 'private, no-cache'])
  })

  test('nothing is sent to who may not have them anyway', async () => {
    expect((await app.ask(`/_matrix/media/v3/download/${media}`)).status).toBe(404)
    expect((await app.ask(`/_matrix/media/v3/thumbnail/${media}?width=96&height=96`)).status).toBe(404)
    expect((await ask(`thumbnail/${media}?width=0&height=96`)).status).toBe(400)
    expect((await ask('thumbnail/example.org/unknown?width=96&height=96')).status).toBe(404)
  })

  test('the media themselves are sent as soon as they are released', async () => {
    const { headers } = await askDownload()
    await quarantine('DELETE')
    const released = await ask(`download/${media}`, { headers: { 'if-none-match': String(headers['etag']) } })
    expect([released.status, released.headers['content-type']]).toEqual([200, 'image/webp'])
    expect((await askThumbnail()).headers['cache-control']).toBe('private, max-age=259200, immutable')
    await quarantine('POST')
  })

  test('each option counts for its own', async () => {
    await app.reload(config({}))
    expect(await statuses()).toEqual([404, 200])
    await app.reload(config({ replaceThumbnails: false, replaceDownloads: true }))
    expect(await statuses()).toEqual([200, 404])
    await app.reload(config({ replaceThumbnails: false }))
    expect(await statuses()).toEqual([404, 404])
    await app.reload(config(REPLACED))
  })
})

describe('A picture of the administrator’s own', () => {
  test('is sent, whole or in the size asked for, and may be exchanged while the server runs', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'own')
    await app.reload(config({ ...REPLACED, thumbnailPath: path }))
    for (const [background, format] of [
      ['#0000ff', 'jpeg'],
      ['#00ff00', 'png'],
    ] as const) {
      const picture = sharp({ create: { width: 600, height: 300, channels: 3, background } })
      const bytes = await picture.toFormat(format).toBuffer()
      await writeFile(path, bytes)
      const download = await askDownload()
      expect([download.headers['content-type'], download.body.equals(bytes)]).toEqual([`image/${format}`, true])
      expect((await lookOf((await askThumbnail()).body)).size).toBe('96x96')
      expect((await lookOf((await askThumbnail('width=320&height=240')).body)).size).toBe('320x160')
      expect((await lookOf((await askThumbnail('width=800&height=600')).body)).size).toBe('600x300')
      expect((await lookOf((await askThumbnail()).body)).middle).toBe(background === '#00ff00' ? '0,255,0' : '0,0,254')
    }
    await app.reload(config(REPLACED))
  })

  test('that is missing, or is no picture, is told once, and the sign takes its place', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'own')
    const complaints = () => app.log().split('quarantine.thumbnailPath cannot be used').length - 1
    await app.reload(config({ ...REPLACED, thumbnailPath: path }))
    for (const content of [undefined, 'not a picture', '<svg xmlns="http://www.w3.org/2000/svg"/>']) {
      if (content !== undefined) await writeFile(path, content)
      for (const { status, body } of [await askDownload(), await askThumbnail(), await askDownload()]) {
        expect([status, await lookOf(body)]).toMatchObject([200, SIGN])
      }
      expect(complaints()).toBe(1)
    }
    await rm(path)
    await app.reload(config(REPLACED))
  })
})
