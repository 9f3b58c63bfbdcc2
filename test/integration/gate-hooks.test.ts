import { createHash, createHmac, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, type Answered, eventually, startApp, type TestApp } from '../support/app.ts'

type Judge = (body: Buffer, request: IncomingMessage, response: ServerResponse) => void | Promise<void>

/** A service that judges files. */
async function startJudge() {
  const state: { judge: Judge } = { judge: say({ verdict: 'allow' }) }
  const asked: { readonly body: Buffer; readonly headers: IncomingMessage['headers'] }[] = []
  const server = createServer((request, response) => {
    void buffer(request)
      .then((body) => {
        asked.push({ body, headers: request.headers })
        return state.judge(body, request, response)
      })
      .catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/judge`,
    state,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => void server.close(resolve))
    },
  }
}

const say =
  (answer: unknown, status = 200): Judge =>
  (_body, _request, response) =>
    void response.writeHead(status).end(typeof answer === 'string' ? answer : JSON.stringify(answer))

const SECRET = 'hook_secret_Tt5w'
let judge: Awaited<ReturnType<typeof startJudge>>
beforeAll(async () => void (judge = await startJudge()))
afterAll(() => judge[Symbol.asyncDispose]())

const withHook = (hook: object, ...others: object[]) =>
  startApp({ config: { moderation: { hooks: [{ url: judge.url, ...hook }, ...others] } } })
const upload = (app: TestApp, body: Buffer | string): Promise<Answered> =>
  app.ask('/_matrix/media/v3/upload?filename=cat.png', {
    method: 'POST',
    body,
    token: ALICE.token,
    headers: { 'content-type': 'image/png' },
  })
const FORBIDDEN = { status: 403, json: { errcode: 'M_FORBIDDEN' } }

describe('A hook', () => {
  test('is told what is known of a file, signed, and the address of its sender only where that is wanted', async () => {
    await using app = await withHook({ secret: SECRET })
    judge.state.judge = say({ verdict: 'allow' })
    const body = randomBytes(5000)
    const { json } = await upload(app, body)
    const asked = judge.asked.at(-1)
    const text = String(asked?.body)
    const metadata = JSON.parse(text) as Record<string, unknown>
    const mxc = String(json['content_uri'])
    expect(metadata).toEqual({
      kind: 'upload',
      homeserver: 'example.org',
      mxc,
      origin: 'example.org',
      media_id: mxc.split('/').at(-1),
      user_id: ALICE.userId,
      content_type: 'image/png',
      upload_name: 'cat.png',
      size: body.length,
      sha256: createHash('sha256').update(body).digest('hex'),
    })
    const [, seconds, mac] = /^t=(\d+),v1=(\w+)$/.exec(String(asked?.headers['cellarium-signature'])) ?? []
    expect(mac).toBe(createHmac('sha256', SECRET).update(`${seconds}.${text}`).digest('hex'))
    expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(600)
    expect(app.log()).not.toContain(SECRET)
    await using telling = await withHook({ sendAddress: true })
    await upload(telling, 'other')
    expect(JSON.parse(String(judge.asked.at(-1)?.body))).toMatchObject({ ip: '127.0.0.1' })
  })

  test('may be sent the file itself', async () => {
    await using app = await withHook({ send: 'bytes' })
    const body = randomBytes(3 * 1024 * 1024)
    judge.state.judge = (received, _, response) =>
      void response.end(JSON.stringify({ verdict: received.equals(body) ? 'allow' : 'reject' }))
    expect((await upload(app, body)).status).toBe(200)
    const header = String(judge.asked.at(-1)?.headers['cellarium-media'])
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toMatchObject({ size: body.length })
    expect((await upload(app, Buffer.from('others'))).status).toBe(403)
  })

  test('may be given an address where the file is, until it has answered', async () => {
    await using app = await withHook({ send: 'url' })
    const body = randomBytes(300_000)
    let url = ''
    judge.state.judge = async (metadata, _, response) => {
      url = (JSON.parse(String(metadata)) as { content_url: string }).content_url
      const fetched = Buffer.from(await (await fetch(url)).arrayBuffer())
      const part = await (await fetch(url, { headers: { range: 'bytes=10-19' } })).arrayBuffer()
      const isWhole = fetched.equals(body) && Buffer.from(part).equals(body.subarray(10, 20))
      const isPrivate = (await fetch(`${url}0`)).status === 404
      response.end(JSON.stringify({ verdict: isWhole && isPrivate ? 'allow' : 'reject' }))
    }
    expect((await upload(app, body)).status).toBe(200)
    expect((await fetch(url)).status).toBe(404)
  })

  test('refuses, and what it wants the uploader to know is told', async () => {
    await using app = await withHook({ name: 'antispam' })
    judge.state.judge = say({ verdict: 'reject', reason: 'advertising', message: 'No advertisements here' })
    const refused = await upload(app, 'spam')
    expect(refused).toMatchObject({ ...FORBIDDEN, json: { errcode: 'M_FORBIDDEN', error: 'No advertisements here' } })
    expect(await app.files()).toEqual([])
    expect(app.log()).toContain('"gate":"antispam"')
    expect(app.log()).toContain('"reason":"advertising"')
  })

  test('quarantines: the file is kept, the uploader refused, and administrators find a report', async () => {
    await using app = await withHook({})
    judge.state.judge = say({ verdict: 'quarantine', reason: 'looks bad' })
    expect(await upload(app, 'evidence')).toMatchObject(FORBIDDEN)
    expect(app.sql('SELECT source, reason FROM reports')).toEqual([{ source: 'hook1', reason: 'looks bad' }])
    expect(app.sql('SELECT 1 FROM media WHERE quarantined_at IS NOT NULL')).toHaveLength(1)
    expect(await app.files()).toHaveLength(1)
    judge.state.judge = say({ verdict: 'allow' })
    expect(await upload(app, 'evidence')).toMatchObject(FORBIDDEN)
  })

  test('is asked in its turn, and not any more once another one refused', async () => {
    await using second = await startJudge()
    await using app = await withHook({ name: 'first' }, { url: second.url, name: 'second' })
    judge.state.judge = say({ verdict: 'report', reason: 'odd' })
    await app.upload('odd file')
    expect(second.asked).toHaveLength(1)
    expect(app.sql('SELECT source FROM reports')).toEqual([{ source: 'first' }])
    judge.state.judge = say({ verdict: 'reject' })
    expect((await upload(app, 'bad file')).status).toBe(403)
    expect(second.asked).toHaveLength(1)
  })

  test('is not asked about what is over maxBytes', async () => {
    await using app = await withHook({ maxBytes: 10 })
    judge.state.judge = say({ verdict: 'reject' })
    expect((await upload(app, 'eleven bytes')).status).toBe(200)
    expect((await upload(app, 'ten bytes.')).status).toBe(403)
  })

  test.for([
    ['answers 500', say({ verdict: 'allow' }, 500)],
    ['answers no JSON', say('allow')],
    ['answers an empty object', say({})],
    ['has a verdict of its own', say({ verdict: 'maybe' })],
    ['redirects', (_b, _q, response) => void response.writeHead(307, { location: '/elsewhere' }).end()],
    ['answers without end', (_b, _q, response) => void response.end(JSON.stringify({ verdict: 'x'.repeat(100_000) }))],
    ['hangs up', (_b, _q, response) => void response.destroy()],
    ['says nothing', () => {}],
    [
      'breaks off',
      (_b, _q, response) => {
        response.writeHead(200, { 'content-length': 100 })
        response.write('{"verdict":', () => response.destroy())
      },
    ],
  ] as [string, Judge][])('that %s: files are refused, to be tried again, or let through', async ([, answer]) => {
    await using app = await withHook({ timeoutSeconds: 1 })
    judge.state.judge = answer
    expect(await upload(app, 'any')).toMatchObject({ status: 503, headers: { 'retry-after': '10' } })
    expect(await app.files()).toEqual([])
    expect(app.sql('SELECT 1 FROM media')).toEqual([])
    expect(app.log()).toContain('a gate cannot judge files')
    judge.state.judge = say({ verdict: 'allow' })
    expect((await upload(app, 'any')).status).toBe(200)
    await using lenient = await withHook({ timeoutSeconds: 1, onFailure: 'allow' })
    judge.state.judge = answer
    expect((await upload(lenient, 'any')).status).toBe(200)
  })

  test('is not waited for when the uploader has left', async () => {
    await using app = await withHook({ timeoutSeconds: 60 })
    let isAsked = false
    judge.state.judge = () => void (isAsked = true)
    using connection = await app.connect()
    connection.write(
      `POST /_matrix/media/v3/upload HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer ${ALICE.token}\r\nContent-Length: 3\r\n\r\nany`,
    )
    await eventually(() => isAsked)
    connection.socket.destroy()
    await eventually(async () => (await app.files()).length === 0)
    expect(app.log()).not.toContain('a gate cannot judge')
  })
})
