import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BadMultipart, boundaryOf, readMixed } from './mixed.ts'

const FILE = Buffer.from('the file\r\n--not the boundary\r\nand its end')

describe('The boundary', () => {
  test.each([
    ['multipart/mixed; boundary=abc', 'abc'],
    ['multipart/mixed;boundary="a b:c"', 'a b:c'],
    ['Multipart/Mixed ; charset=utf-8; Boundary=abc; x=y', 'abc'],
    ['multipart/mixed; boundary=a=b', 'a=b'],
    ['multipart/form-data; boundary=abc', undefined],
    ['multipart/mixed', undefined],
    ['multipart/mixedx; boundary=abc', undefined],
    ['application/json', undefined],
  ])('of %j is %j', (header, boundary) => {
    expect(boundaryOf(header)).toBe(boundary)
  })
})

describe('What servers send', () => {
  const json = 'Content-Type: application/json\r\n\r\n{}'
  const file = `Content-Type: image/png\r\nContent-Disposition: inline; filename="a.png"\r\n\r\n${FILE.toString()}`

  test.each([
    ['as Synapse does: an empty line first', `\r\n--b\r\n${json}\r\n--b\r\n${file}\r\n--b--\r\n`],
    ['as Dendrite does: the boundary first', `--b\r\n${json}\r\n--b\r\n${file}\r\n--b--\r\n`],
    ['nothing after the last boundary', `--b\r\n${json}\r\n--b\r\n${file}\r\n--b--`],
    ['a last boundary without its dashes', `--b\r\n${json}\r\n--b\r\n${file}\r\n--b\r\n`],
    ['a last boundary without dashes and line end', `--b\r\n${json}\r\n--b\r\n${file}\r\n--b`],
    ['a last boundary that was cut within its dashes', `--b\r\n${json}\r\n--b\r\n${file}\r\n--b-`],
    ['spaces behind the boundaries', `--b \t\r\n${json}\r\n--b \r\n${file}\r\n--b--  \r\n`],
    [
      'text before the first boundary and behind the last',
      `hello\r\n--bee\r\n--b\r\n${json}\r\n--b\r\n${file}\r\n--b--\r\nbye`,
    ],
    ['a part behind the file', `--b\r\n${json}\r\n--b\r\n${file}\r\n--b\r\n\r\nmore\r\n--b--`],
    ['no headers on the JSON part', `--b\r\n\r\n{}\r\n--b\r\n${file}\r\n--b--`],
    ['an empty JSON part', `--b\r\nContent-Type: application/json\r\n\r\n\r\n--b\r\n${file}\r\n--b--`],
    ['a JSON part without a line of its own', `--b\r\nContent-Type: application/json\r\n\r\n--b\r\n${file}\r\n--b--`],
    [
      'a charset on the JSON part',
      `--b\r\nContent-Type: Application/JSON; charset=utf-8\r\n\r\n{}\r\n--b\r\n${file}\r\n--b--`,
    ],
  ])('is read: %s', async (_, text) => {
    const read = await readAll(text)
    expect(read.metadata).toEqual({})
    expect(read.headers.get('content-type')).toBe('image/png')
    expect(read.headers.get('content-disposition')).toBe('inline; filename="a.png"')
    expect(read.bytes.toString()).toBe(FILE.toString())
  })

  test('may end its lines with LF alone; a CR before such a line belongs to the file', async () => {
    const read = await readAll('--b\nContent-Type: application/json\n\n{}\n--b\nContent-Type: a/b\n\nfile\r\n--b--\n')
    expect(read.headers.get('content-type')).toBe('a/b')
    expect(read.bytes.toString()).toBe('file\r')
  })

  test('may have odd headers: cases, folded lines, spaces, several of one name, lines that are none', async () => {
    const headers =
      'CONTENT-type :  a/b \r\nX-Long: one\r\n\ttwo\r\nnonsense\r\nLocation: first\r\nlocation: second\r\nEmpty:'
    const read = await readAll(`--b\r\n${json}\r\n--b\r\n${headers}\r\n\r\nfile\r\n--b--`)
    expect(Object.fromEntries(read.headers)).toEqual({
      'content-type': 'a/b',
      'x-long': 'one two',
      location: 'first',
      empty: '',
    })
  })

  test.each([
    ['with an empty line for its content', `--b\r\n${json}\r\n--b\r\nContent-Type: a/b\r\n\r\n\r\n--b--`],
    ['without one', `--b\r\n${json}\r\n--b\r\nContent-Type: a/b\r\n\r\n--b--`],
    ['without headers', `--b\r\n${json}\r\n--b\r\n\r\n\r\n--b--`],
  ])('may be a file of no bytes, %s', async (_, text) => {
    expect((await readAll(text)).bytes).toHaveLength(0)
  })

  test('is a metadata part of any JSON', async () => {
    expect((await readAll('--b\r\n\r\n{"a":[1]}\r\n--b\r\n\r\nx\r\n--b--')).metadata).toEqual({ a: [1] })
  })
})

describe('What is no answer', () => {
  const long = 'x'.repeat(70_000)
  test.each([
    ['nothing', ''],
    ['another boundary', '--c\r\n\r\n{}\r\n--c\r\n\r\nx\r\n--c--'],
    ['an endless line before the first boundary', long],
    ['one part only', '--b\r\n\r\n{}\r\n--b--'],
    ['one part and an open end', '--b\r\n\r\n{}\r\n--b\r\n'],
    ['a first part of another type', '--b\r\nContent-Type: image/png\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b--'],
    ['a first part that is no JSON', '--b\r\n\r\n{\r\n--b\r\n\r\nx\r\n--b--'],
    ['a first part without end', `--b\r\n\r\n"${long}"`],
    ['headers without end', `--b\r\n\r\n{}\r\n--b\r\n${'a: b\r\n'.repeat(15_000)}`],
    ['headers that break off', '--b\r\n\r\n{}\r\n--b\r\nContent-Type: a/b\r\n'],
    ['a file that breaks off', '--b\r\n\r\n{}\r\n--b\r\n\r\nthe fi'],
    ['a file that breaks off within the boundary', '--b\r\n\r\n{}\r\n--b\r\n\r\nthe file\r\n--'],
  ])('is refused: %s', async (_, text) => {
    await expect(readAll(text)).rejects.toBeInstanceOf(BadMultipart)
  })

  test('an end before the first part is refused at once, though the connection stays open', async () => {
    await expect(readMixed(open(Buffer.from('\r\n--b--\r\n')), 'b')).rejects.toBeInstanceOf(BadMultipart)
  }, 10_000)

  test('an error of the connection is passed on as it is', async () => {
    const broken = new Error('reset')
    const file = await readMixed(breaking(Buffer.from('--b\r\n\r\n{}\r\n--b\r\n\r\nthe fi'), broken), 'b')
    await expect(collect(file.body)).rejects.toBe(broken)
  })
})

test('A connection that breaks behind the last boundary has brought the whole file, if that has its dashes', async () => {
  const broken = new Error('reset')
  const begin = '--b\r\n\r\n{}\r\n--b\r\n\r\nthe file\r\n--b'
  const whole = await readMixed(breaking(Buffer.from(`${begin}--`), broken), 'b')
  expect((await collect(whole.body)).toString()).toBe('the file')
  for (const end of ['', '-', '\r\n', '\r\nmore']) {
    const open = await readMixed(breaking(Buffer.from(`${begin}${end}`), broken), 'b')
    await expect(collect(open.body)).rejects.toBe(broken)
  }
})

describe('The source', () => {
  test('is read no further than the file is', async () => {
    let pulled = 0
    async function* source() {
      yield Buffer.from('--b\r\n\r\n{}\r\n--b\r\n\r\n')
      for (;;) {
        pulled++
        yield Buffer.alloc(1000)
      }
    }
    const file = await readMixed(source(), 'b')
    const body = file.body[Symbol.asyncIterator]()
    for (let taken = 1; taken <= 5; taken++) {
      await body.next()
      expect(pulled).toBeLessThanOrEqual(taken + 1)
    }
  })

  test.each(['is read to its end', 'is left early'])('is ended when the file %s', async (how) => {
    let ended = false
    async function* source() {
      try {
        yield Buffer.from('--b\r\n\r\n{}\r\n--b\r\n\r\nthe ')
        yield Buffer.from('file\r\n--b--\r\n')
        for (;;) yield Buffer.alloc(10_000)
      } finally {
        ended = true
      }
    }
    const file = await readMixed(source(), 'b')
    if (how === 'is read to its end') expect((await collect(file.body)).toString()).toBe('the file')
    else for await (const chunk of file.body) if (chunk.length > 0) break
    expect(ended).toBe(true)
  })
})

test('However an answer is cut into chunks, it reads as the whole does', async () => {
  const piece = fc.constantFrom(
    '\r\n--bound',
    '\r\n--boundary',
    '--boundary',
    '\r',
    '\n',
    '-',
    'x',
    '\r\n--boundar',
    '--',
    ' ',
  )
  const content = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''))
  const answer = fc.tuple(fc.constantFrom('\r\n', '\n'), fc.boolean(), content)
  await fc.assert(
    fc.asyncProperty(answer, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), async ([end, early, file], sizes) => {
      const lead = early ? end : ''
      const text = `${lead}--boundary${end}${end}{}${end}--boundary${end}a: b${end}${end}${file}${end}--boundary--${end}`
      const plain = readPlainly(text, 'boundary', end)
      const read = await collect((await readMixed(inChunks(Buffer.from(text), sizes), 'boundary')).body)
      expect(read.toString()).toBe(plain)
    }),
    { numRuns: 500 },
  )
})

/** The second part's content, by looking at the whole text at once. */
function readPlainly(text: string, boundary: string, end: string): string {
  const [, ...parts] = `${end}${text}`.split(new RegExp(`${end}--${boundary}(?=[ \\t\\r\\n]|--|$)`))
  const second = parts[1] ?? ''
  // Behind the boundary's line and the headers; a part may end where its headers do.
  const from = second.indexOf(`${end}${end}`)
  return from === -1 ? '' : second.slice(from + 2 * end.length)
}

async function readAll(text: string) {
  const file = await readMixed(inChunks(Buffer.from(text), [64].values()), 'b')
  return { ...file, bytes: await collect(file.body) }
}

async function* inChunks(bytes: Buffer, sizes: Iterator<number>): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < bytes.length;) {
    const size = Number(sizes.next().value ?? 7)
    yield bytes.subarray(position, position + size)
    position += size
  }
}

/** Sends these bytes, and then neither more nor an end. */
async function* open(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
  await new Promise(() => {})
}

async function* breaking(bytes: Buffer, error: Error): AsyncGenerator<Uint8Array> {
  yield bytes
  throw error
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(chunks))
}
