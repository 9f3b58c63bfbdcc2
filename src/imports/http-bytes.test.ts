import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import { Agent } from 'undici'
import { expect, test } from 'vitest'
import { ConfigError, messagesOf } from '../lib/errors.ts'
import { httpBytes } from './http-bytes.ts'
import type { ImportedRecord } from './records.ts'

const record: ImportedRecord = {
  origin: 'example.org',
  mediaId: 'abcdef',
  kind: 'upload',
  contentType: 'text/plain',
  uploadName: null,
  uploader: null,
  createdAt: 0,
  accessedAt: null,
  authenticated: true,
  quarantinedBy: null,
  isProtected: false,
  size: 4,
  sha256: undefined,
  path: undefined,
}

type Answering = (request: IncomingMessage, response: ServerResponse, count: number) => void

/** What `httpBytes` makes of a homeserver that answers so, and how often it asked. */
async function asking(answering: Answering, asked = record) {
  let count = 0
  await using server = createServer((request, response) => answering(request, response, ++count)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const dispatcher = new Agent()
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const parts = { dispatcher, signal: new AbortController().signal, waitMs: 1 }
  const bytes = httpBytes({ baseUrl, token: 'secret' }, parts)
  try {
    await using found = await bytes.find(asked)
    return { content: found && (await text(Readable.from(found.read()))), count }
  } catch (error) {
    return { ends: error instanceof ConfigError, said: messagesOf(error).join(), count }
  } finally {
    await dispatcher.destroy()
  }
}

const saying =
  (status: number, body: string, headers = {}): Answering =>
  (_, response) =>
    response.writeHead(status, headers).end(body)

test('only what a homeserver says is missing is missing', async () => {
  expect(await asking(saying(404, '{"errcode":"M_NOT_FOUND"}'))).toEqual({ content: undefined, count: 1 })
  expect(await asking(saying(404, '<html>nginx</html>'))).toEqual({
    ends: true,
    said: expect.stringMatching(/^nobody at http:.* sends media to clients \(404 <html>nginx/),
    count: 2,
  })
  // Synapse with enable_media_repo: false.
  expect(await asking(saying(404, '{"errcode":"M_UNRECOGNIZED"}'))).toMatchObject({ ends: true, count: 2 })
  expect(await asking(saying(400, '{"errcode":"M_UNKNOWN"}'))).toMatchObject({
    ends: false,
    said: expect.stringMatching(/answered 400/),
  })
})

test('a refusal of one file ends nothing; a refusal of the token does', async () => {
  const forbidden = saying(403, '{"errcode":"M_FORBIDDEN"}')
  expect(await asking(forbidden)).toMatchObject({ ends: false, said: expect.stringMatching(/answered 403/) })
  expect(await asking(forbidden, { ...record, quarantinedBy: '@a:example.org' })).toMatchObject({ ends: true })
  expect(await asking(saying(401, '{"errcode":"M_UNKNOWN_TOKEN"}'))).toMatchObject({ ends: true })
})

const busy: Answering = (_, response, count) =>
  count > 8
    ? response.end('late')
    : response
        .writeHead(429, count % 2 === 0 ? { 'retry-after': '0' } : {})
        .end(count % 2 === 0 ? '' : '{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":5}')

test('waits as long as a homeserver wants that is asked too often', async () => {
  expect(await asking(busy)).toEqual({ content: 'late', count: 9 })
  expect((await asking(saying(429, ''))).count).toBe(4)
})

test('goes where it is sent, and takes the token to no other host', async () => {
  const seen: (string | undefined)[] = []
  await using other = createServer((request, response) => {
    seen.push(request.headers.authorization)
    if (request.url === '/gone') response.writeHead(404).end('<Code>NoSuchKey</Code>')
    else response.end('file')
  }).listen(0, '127.0.0.1')
  await once(other, 'listening')
  const elsewhere = `http://localhost:${(other.address() as AddressInfo).port}`
  const sent = await asking((request, response) => {
    seen.push(request.headers.authorization)
    const to = request.url?.startsWith('/here') ? `${elsewhere}/bucket?signature=x` : '/here'
    response.writeHead(307, { location: to }).end()
  })
  expect(sent).toEqual({ content: 'file', count: 2 })
  expect(seen).toEqual(['Bearer secret', 'Bearer secret', undefined])
  expect(await asking(saying(302, '', { location: `${elsewhere}/gone` }))).toEqual({ content: undefined, count: 1 })
  expect(await asking(saying(302, '', { location: '/' }))).toMatchObject({
    ends: false,
    said: expect.stringMatching(/leads on and on/),
  })
})
