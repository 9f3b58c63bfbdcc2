import { createHash, randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { pdqOf } from '../../src/thumbnails/pdq.ts'
import { ALICE, eventually, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'

const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest('hex')
const upload = (app: TestApp, body: Buffer | string, type = 'image/png') =>
  app.ask('/_matrix/media/v3/upload', {
    method: 'POST',
    body,
    token: ALICE.token,
    headers: { 'content-type': type },
  })
const isRefused = async (app: TestApp, body: string) => (await upload(app, body)).status === 403

async function withList(text: string, more: object = {}) {
  const folder = await temporaryFolder()
  const path = join(folder.path, 'list.txt')
  await writeFile(path, text)
  const list = { source: path, refreshSeconds: 1, ...more }
  const app = await startApp({ config: { moderation: { hashLists: [list] } } })
  return {
    app,
    path,
    async [Symbol.asyncDispose]() {
      await app[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

test('A file on a list is refused in the specification’s terms, and leaves nothing behind', async () => {
  await using place = await withList(`# of a friend\r\n\r\n${sha256('bad').toUpperCase()}  a bad file\r\n`)
  const { app } = place
  await app.upload('good')
  const files = await app.files()
  const refused = await upload(app, 'bad')
  expect(refused).toMatchObject({ status: 403, json: { errcode: 'M_FORBIDDEN' } })
  expect(String(refused.body)).not.toContain('a bad file')
  expect(await app.files()).toEqual(files)
  for (const table of ['media', 'objects']) expect(app.sql(`SELECT 1 FROM ${table}`)).toHaveLength(1)
  expect(app.sql('SELECT 1 FROM reports')).toEqual([])
  expect(app.log()).toContain('"reason":"a bad file"')
})

test('A list is read again when its file changes; one that is gone or no list leaves the last one in force', async () => {
  await using place = await withList(`${sha256('first')}\n`)
  const { app, path } = place
  expect(await isRefused(app, 'first')).toBe(true)
  expect(await isRefused(app, 'second')).toBe(false)
  await writeFile(path, `${sha256('second')} now this\n`)
  await eventually(() => isRefused(app, 'second'))
  expect(await isRefused(app, 'first')).toBe(false)
  await writeFile(path, '<html><body>Not found</body></html>\n')
  await eventually(() => app.log().includes('none of its 1 lines begins with a hash'))
  expect(await isRefused(app, 'second')).toBe(true)
  await rm(path)
  await eventually(() => app.log().includes('ENOENT'))
  expect(await isRefused(app, 'second')).toBe(true)
  await writeFile(path, '')
  await eventually(async () => !(await isRefused(app, 'second')))
})

test('Bad lines are counted and told with the first one’s number; the others count', async () => {
  await using place = await withList(`${sha256('one')}\nnonsense\n${'a'.repeat(63)}\n${sha256('two')},why\n`)
  expect(await isRefused(place.app, 'one')).toBe(true)
  expect(await isRefused(place.app, 'two')).toBe(true)
  expect(place.app.log()).toMatch(/"badLines":2,"firstBadLine":2/)
})

test('What is quarantined by a list is kept, under every name of its content', async () => {
  await using place = await withList('', { action: 'quarantine' })
  const { app, path } = place
  const before = await app.upload('later bad', { name: 'old.png' })
  const download = (media: string) => app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })
  expect((await download(before)).status).toBe(200)
  await writeFile(path, `${sha256('later bad')}\n`)
  await eventually(() => isRefused(app, 'later bad'))
  expect((await download(before)).status).toBe(404)
  const rows = app.sql('SELECT quarantined_at AS since FROM media')
  expect(rows).toHaveLength(2)
  expect(rows.every(({ since }) => since !== null)).toBe(true)
  expect(app.sql('SELECT source FROM reports')).toEqual([{ source: 'hash_list' }])
})

type Answer = (request: IncomingMessage, response: ServerResponse) => void

async function startSite(answer: Answer) {
  const requests: IncomingMessage[] = []
  const state = { answer }
  const server = createServer((request, response) => {
    requests.push(request)
    state.answer(request, response)
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/list`,
    requests,
    state,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => void server.close(resolve))
    },
  }
}

const serve =
  (tag: string, text: string): Answer =>
  (request, response) => {
    const known = request.headers['if-none-match'] === tag
    response.writeHead(known ? 304 : 200, { etag: tag }).end(known ? '' : text)
  }

test('A list of an address is asked for with its ETag and credentials, and kept when it fails', async () => {
  await using site = await startSite(serve('"1"', sha256('first')))
  const source = `${site.url}?key=hidden_Zz9`
  const list = { source, refreshSeconds: 1, authorization: 'Bearer secret_Qq2' }
  await using app = await startApp({ config: { moderation: { hashLists: [list] } } })
  expect(await isRefused(app, 'first')).toBe(true)
  await eventually(() => site.requests.some(({ headers }) => headers['if-none-match'] === '"1"'))
  expect(site.requests[0]?.headers.authorization).toBe('Bearer secret_Qq2')
  expect(await isRefused(app, 'first')).toBe(true)
  site.state.answer = serve('"2"', sha256('second'))
  await eventually(() => isRefused(app, 'second'))
  for (const fails of [
    (_: unknown, response: ServerResponse) => void response.writeHead(500).end(),
    (_: unknown, response: ServerResponse) => void response.writeHead(302, { location: '/elsewhere' }).end(),
    (_: unknown, response: ServerResponse) => {
      response.writeHead(200, { 'content-length': 1000 })
      response.write(sha256('third'), () => response.destroy())
    },
  ]) {
    const before = site.requests.length
    site.state.answer = fails
    await eventually(() => site.requests.length > before + 1)
    expect(await isRefused(app, 'second')).toBe(true)
    expect(await isRefused(app, 'third')).toBe(false)
  }
  expect(app.log()).toContain('the one that was read before stays in force')
  expect(app.log()).toContain('it answered 302 instead of 200')
  for (const secret of ['hidden_Zz9', 'secret_Qq2']) expect(app.log()).not.toContain(secret)
})

test('A list that was never read is told as an error, and read as soon as it is there', async () => {
  await using place = await withList('')
  const path = `${place.path}.new`
  await place.app.reload({ moderation: { hashLists: [{ source: path, refreshSeconds: 1 }] } })
  await eventually(() => place.app.log().includes('nothing is checked against it until it can'))
  expect(await isRefused(place.app, 'bad')).toBe(false)
  await writeFile(path, sha256('bad'))
  await eventually(() => isRefused(place.app, 'bad'))
})

async function picture(seed: number): Promise<{ readonly png: Buffer; readonly hash: string }> {
  const [width, height] = [400, 300]
  const data = Buffer.alloc(width * height * 3)
  for (let at = 0; at < width * height; at++) {
    const [x, y] = [at % width, Math.floor(at / width)]
    const wave = 127 + 127 * Math.sin((x * (1 + seed) + y * 2.3) / 40) * Math.cos((y * (1.5 + seed) - x) / 55)
    data.fill(wave, at * 3, at * 3 + 3)
  }
  const png = await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
  return { png, hash: pdqOf({ data, width, height }).hash }
}

test('Pictures that look like known ones are reported, quarantined or refused, whatever their type and size', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'pictures.txt')
  const known = await picture(1)
  await writeFile(path, `${randomBytes(32).toString('hex')}\n${known.hash} a known picture\n`)
  const perceptual = (action: string) => ({ moderation: { perceptual: { lists: [{ source: path }], action } } })
  await using app = await startApp({ config: perceptual('report') })
  const smaller = await sharp(known.png).resize(250).jpeg({ quality: 60 }).toBuffer()
  const reported = await app.upload(smaller, { type: 'application/octet-stream' })
  expect((await app.ask(`/_matrix/client/v1/media/download/${reported}`, { token: ALICE.token })).status).toBe(200)
  expect(app.sql('SELECT source, reason, origin || ? || media_id AS media FROM reports', '/')).toEqual([
    {
      source: 'perceptual',
      reason: expect.stringMatching(/^a known picture \(\d+ of 256 bits differ\)$/),
      media: reported,
    },
  ])
  // Uploaded again, it is the same name, and one report is enough.
  await app.upload(smaller, { type: 'application/octet-stream' })
  await app.upload((await picture(3)).png)
  await app.upload('no picture at all')
  // Nothing to be seen in it: it looks like all other empty ones.
  await app.upload(
    await sharp({ create: { width: 90, height: 90, channels: 3, background: 'red' } })
      .png()
      .toBuffer(),
  )
  expect(app.sql('SELECT 1 FROM reports')).toHaveLength(1)

  await app.reload(perceptual('reject'))
  const larger = await sharp(known.png).resize(900).webp().toBuffer()
  await eventually(async () => (await upload(app, larger)).status === 403)
})

test('Plugins of matrix-media-repo are accepted, never started, and the log says what to use instead', async () => {
  await using app = await startApp({ config: { plugins: [{ exec: '/plugins/antispam', config: {} }] } })
  expect((await upload(app, 'fine')).status).toBe(200)
  expect(app.log()).toContain('use moderation.hooks instead')
})
