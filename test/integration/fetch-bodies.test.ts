import { Buffer } from 'node:buffer'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Fetching, SIGNED, startFetching, V3 } from '../support/federation-client.ts'
import { byPath, head, mixed, mixedBody, response, type Script, sending } from '../support/scripted-origin.ts'
import { describeWith } from '../support/services.ts'

const FILE = Buffer.from('the file\r\n--not the boundary\r\nand its \0end')
const BOUNDARY = 'gc0p4Jq0M2Yt08jU534c0p'

let fetching: Fetching

const unknown = sending(response(404, { errcode: 'M_UNRECOGNIZED' }))
/** Only the old endpoint answers. */
const legacy = (...pieces: readonly (string | Uint8Array)[]): Script =>
  byPath({ [SIGNED]: unknown, [V3]: sending(...pieces) })

/** An answer in HTTP chunks: its length is not known before. */
function chunked(bytes: Buffer, headers: readonly string[], size = 7): readonly Buffer[] {
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => {
    const chunk = bytes.subarray(index * size, (index + 1) * size)
    return Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')])
  })
  return [head(200, [...headers, 'Transfer-Encoding: chunked']), ...chunks, Buffer.from('0\r\n\r\n')]
}

const endless: Script = async (talk) => {
  await talk.send(head(200, ['Content-Type: a/b', 'Connection: close']))
  while (!talk.hungUp()) await talk.send(Buffer.alloc(10_000))
}

describeWith('openssl', 'What a server sends', () => {
  beforeAll(async () => {
    fetching = await startFetching()
  })
  beforeEach(() => fetching.renew())
  afterAll(() => fetching[Symbol.asyncDispose]())

  test.each<[string, readonly Buffer[]]>([
    ['an empty line first, as Synapse sends it', [mixed(FILE)]],
    ['the boundary first, as Dendrite sends it', [mixed(FILE, { lead: '' })]],
    ['text before the first boundary', [mixed(FILE, { lead: 'hello\r\n\r\n' })]],
    ['lines that end with LF alone', [mixed(FILE, { end: '\n' })]],
    ['a last boundary without dashes', [mixed(FILE, { last: '' })]],
    ['a last boundary without dashes, and a line end', [mixed(FILE, { last: '\r\n' })]],
    ['nothing behind the last boundary', [mixed(FILE, { last: '--' })]],
    ['two line ends behind the last boundary', [mixed(FILE, { last: '--\r\n\r\n' })]],
    ['a quoted boundary', [response(200, mixedBody(FILE), [`Content-Type: multipart/mixed; boundary="${BOUNDARY}"`])]],
    [
      'a boundary that is not the last parameter, and odd case',
      [response(200, mixedBody(FILE), [`content-TYPE: Multipart/MIXED;Boundary=${BOUNDARY}; charset=utf-8`])],
    ],
    ['HTTP chunks', chunked(mixedBody(FILE), [`Content-Type: multipart/mixed; boundary=${BOUNDARY}`])],
    [
      'HTTP chunks of a byte each',
      chunked(mixedBody(FILE), [`Content-Type: multipart/mixed; boundary=${BOUNDARY}`], 1),
    ],
    ['single packets', Array.from(mixed(FILE), (byte) => Buffer.from([byte]))],
    ['a JSON part with something in it', [mixed(FILE, { json: '{"a":[1,{"b":null}]}' })]],
    [
      'an answer after others that are none (103)',
      [Buffer.from('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'), mixed(FILE)],
    ],
  ])('is read: %s', async (_, pieces) => {
    fetching.theirs.say(sending(...pieces))
    const file = await fetching.fetch()
    expect(file).toMatchObject({ contentType: 'image/png', fileName: 'picture.png', size: undefined })
    expect(file.bytes.equals(FILE)).toBe(true)
    expect(fetching.asked()).toEqual(['signed'])
  })

  test('is read until the connection is closed, where no length is given', async () => {
    fetching.theirs.say(async (talk) => {
      await talk.send(head(200, [`Content-Type: multipart/mixed; boundary=${BOUNDARY}`, 'Connection: close']))
      await talk.send(mixedBody(FILE))
      talk.end()
    })
    const file = await fetching.fetch()
    expect(file.bytes.equals(FILE)).toBe(true)
    expect(file.about).toBeUndefined()
  })

  test.each([
    ['with an empty line for its content', mixed('')],
    [
      'without one',
      response(200, `--b\r\n\r\n{}\r\n--b\r\nContent-Type: image/png\r\n\r\n--b--`, [
        'Content-Type: multipart/mixed; boundary=b',
      ]),
    ],
    ['with LF alone', mixed('', { end: '\n' })],
  ])('may be a file of no bytes, %s', async (_, answer) => {
    fetching.theirs.say(sending(answer))
    const file = await fetching.fetch()
    expect(file.bytes).toHaveLength(0)
    expect(file.about?.atLeast).toBe(0)
  })

  test('may be a file of no bytes from the old endpoint', async () => {
    fetching.theirs.say(legacy(response(200)))
    expect(await fetching.fetch()).toMatchObject({ size: 0, contentType: 'application/octet-stream', fileName: null })
  })

  test.each([
    [{ end: '\r\n' as const, last: '--\r\n' }],
    [{ end: '\r\n' as const, last: '--\r\n\r\n' }],
    [{ end: '\r\n' as const, last: '--' }],
    [{ end: '\r\n' as const, last: '' }],
    [{ end: '\n' as const, last: '' }],
    [{ end: '\n' as const, last: '--\n' }],
  ])('tells nearly how long the file is, when only all of it has a length: %j', async (shape) => {
    fetching.theirs.say(sending(mixed(FILE, shape)))
    const { about, size } = await fetching.fetch()
    expect(size).toBeUndefined()
    expect(about?.atLeast).toBeLessThanOrEqual(FILE.length)
    expect(about?.atMost).toBeGreaterThanOrEqual(FILE.length)
    expect((about?.atMost ?? 0) - (about?.atLeast ?? 0)).toBeLessThan(10)
  })

  test('tells how long the file is, when its part has a length, which has to be right', async () => {
    const part = (length: number | string) => mixed(FILE, { headers: [`Content-Length: ${length}`] })
    fetching.theirs.say(sending(part(FILE.length)))
    expect((await fetching.fetch()).size).toBe(FILE.length)
    fetching.theirs.say(sending(part(FILE.length + 1)))
    const short = await fetching.failure()
    expect(short).toMatchObject({ reason: 'broken', isWorthKeeping: false })
    expect(short.message).toContain(`was said to have ${FILE.length + 1} bytes, and has ${FILE.length} bytes`)
    fetching.theirs.say(sending(part(FILE.length - 1)))
    expect((await fetching.failure()).message).toContain(`was said to have ${FILE.length - 1} bytes, and has more`)
    fetching.theirs.say(sending(part('many')))
    expect((await fetching.fetch()).size).toBeUndefined()
  })

  test('may have odd headers: cases, folded lines, none, nonsense', async () => {
    const headers = [
      'CONTENT-TYPE:img/png ',
      'content-disposition: attachment;',
      ` filename*=utf-8''%E2%98%95`,
      'nonsense',
    ]
    fetching.theirs.say(sending(mixed(FILE, { headers })))
    expect(await fetching.fetch()).toMatchObject({ contentType: 'img/png', fileName: '☕' })
    fetching.theirs.say(sending(mixed(FILE, { headers: [] })))
    expect(await fetching.fetch()).toMatchObject({ contentType: 'application/octet-stream', fileName: null })
    fetching.theirs.say(sending(mixed(FILE, { headers: ['Content-Type: <script>', 'Content-Disposition: ;;;="'] })))
    expect(await fetching.fetch()).toMatchObject({ contentType: 'application/octet-stream', fileName: null })
  })

  test('has its type with its parameters, and its name in UTF-8 as it is, from the old endpoint', async () => {
    const disposition = Buffer.from('Content-Disposition: inline; filename="☕.txt"').toString('latin1')
    fetching.theirs.say(legacy(response(200, FILE, ['Content-Type: Text/Plain; charset=koi8-r', disposition])))
    const file = await fetching.fetch()
    expect(file).toMatchObject({ contentType: 'Text/Plain; charset=koi8-r', fileName: '☕.txt', size: FILE.length })
  })

  test.each<[string, Script, string]>([
    ['the signed endpoint', sending(mixed(gzipSync(FILE), {}, ['Content-Encoding: gzip'])), 'gzip'],
    ['the old endpoint', legacy(response(200, gzipSync(FILE), ['Content-Encoding: x-gzip'])), 'x-gzip'],
  ])('is no file when %s compresses it, which nobody asked for', async (_, script, encoding) => {
    fetching.theirs.say(script)
    const error = await fetching.failure()
    expect(error.reason).toBe('broken')
    expect(error.message).toContain(`is compressed (Content-Encoding: ${encoding})`)
  })

  test.each<[string, Script, string]>([
    ['the old endpoint', legacy(response(200, Buffer.alloc(1001), [])), '1001'],
    ['the part', sending(mixed(Buffer.alloc(1001), { headers: ['Content-Length: 1001'] })), '1001'],
    ['the whole answer', sending(mixed(Buffer.alloc(1100))), 'at least 1098'],
  ])('is not read when its length, which %s tells, is more than allowed', async (_, script, bytes) => {
    fetching.theirs.say(script)
    const fetch = fetching.client().fetch('ours.test', 'theirs.test:8448', { ...wish(), maxBytes: 1000 })
    const error: unknown = await fetch.catch((problem: unknown) => problem)
    expect(error).toMatchObject({ reason: 'too_large', isWorthKeeping: true })
    expect(String(error)).toContain(`has ${bytes} bytes, and 1000 are allowed (downloads.maxBytes)`)
  })

  test('is read up to the allowed length and no further, when it does not tell its own', async () => {
    fetching.theirs.say(byPath({ [SIGNED]: unknown, [V3]: endless }))
    expect(await fetching.failure({ maxBytes: 100_000 })).toMatchObject({ reason: 'too_large' })
    fetching.theirs.say(legacy(...chunked(Buffer.alloc(1000), ['Content-Type: a/b'], 100)))
    expect((await fetching.fetch({ maxBytes: 1000 })).bytes).toHaveLength(1000)
    expect((await fetching.failure({ maxBytes: 999 })).reason).toBe('too_large')
  })

  test.each<[string, Buffer]>([
    ['before the first boundary', response(200, 'x'.repeat(200_000), ['Content-Type: multipart/mixed; boundary=b'])],
    ['as its JSON part', mixed(FILE, { json: `"${'x'.repeat(200_000)}"` })],
    ['as headers of the file', mixed(FILE, { headers: Array.from({ length: 20_000 }, (_, index) => `x-${index}: y`) })],
  ])('is given up when endless things come %s; the old endpoint may do better', async (_, answer) => {
    fetching.theirs.say(byPath({ [SIGNED]: sending(answer), [V3]: sending(response(200, FILE)) }))
    expect((await fetching.fetch()).bytes.equals(FILE)).toBe(true)
    expect(fetching.asked()).toEqual(['signed', 'v3'])
  })

  test('comes over one connection, file after file', async () => {
    fetching.theirs.say(sending(mixed(FILE)))
    const before = fetching.theirs.connections()
    for (let time = 0; time < 5; time++) await fetching.fetch()
    expect(fetching.theirs.connections() - before).toBeLessThanOrEqual(2)
  })

  test('is not read faster than whoever wants it reads', async () => {
    let sent = 0
    fetching.theirs.say(async (talk) => {
      await talk.send(head(200, ['Content-Type: multipart/mixed; boundary=b', 'Connection: close']))
      await talk.send('--b\r\n\r\n{}\r\n--b\r\n\r\n')
      for (; sent < 2000 && !talk.hungUp(); sent++) await talk.send(Buffer.alloc(65_536))
    })
    const { body } = await fetching.client().fetch('ours.test', 'theirs.test:8448', wish())
    const chunks = body[Symbol.asyncIterator]()
    await chunks.next()
    let before = -1
    while (before !== sent) {
      before = sent
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    // What the sockets of both sides and the read-ahead hold; all of it would be 125 MiB.
    expect(sent).toBeLessThan(1000)
    body.destroy()
  })
})

function wish() {
  return { mediaId: 'a', timeoutMs: 20_000, maxBytes: 0, idleMs: 30_000, signal: new AbortController().signal }
}
