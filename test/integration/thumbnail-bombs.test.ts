import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { interlacedPngBomb, pngBomb, pngChunk, quarters } from '../support/images.ts'
import { childrensMemory, openThumbnailJobs, type ThumbnailJobs } from '../support/thumbnail-jobs.ts'

let jobs: ThumbnailJobs
beforeAll(async () => {
  jobs = await openThumbnailJobs()
})
afterAll(() => jobs[Symbol.asyncDispose]())

const svg = (inside: string, attributes = 'width="120" height="90"', prolog = '') =>
  Buffer.from(
    `${prolog}<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${attributes}>${inside}</svg>`,
  )
const RED = '<rect width="100%" height="100%" fill="red"/>'

/** The colour in the middle, as red, green, blue, alpha. */
async function middle(thumbnail: Buffer): Promise<readonly number[]> {
  const { data, info } = await sharp(thumbnail).ensureAlpha().raw().toBuffer({ resolveWithObject: true })
  const at = (Math.floor(info.height / 2) * info.width + Math.floor(info.width / 2)) * 4
  return [...data.subarray(at, at + 4)]
}

const patched = (bytes: Buffer, patch: (bytes: Buffer) => void) => {
  patch(bytes)
  return bytes
}
const small = async () => await quarters({ width: 64, height: 64 })

/** 64 × 64 pixels, grey, says its header; the rest is up to the caller. */
const png = (...chunks: readonly Buffer[]) => {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(64, 0)
  header.writeUInt32BE(64, 4)
  header.writeUInt8(8, 8)
  const signature = Buffer.from('89504e470d0a1a0a', 'hex')
  return Buffer.concat([signature, pngChunk('IHDR', header), ...chunks, pngChunk('IEND', Buffer.alloc(0))])
}

describe('A file of a few bytes that says it is a gigantic picture is refused before it is decoded', () => {
  test.each<[string, () => Promise<Buffer> | Buffer]>([
    ['PNG', () => pngBomb(30_000, 30_000)],
    ['PNG, interlaced', () => interlacedPngBomb(9000, 9000)],
    [
      'GIF',
      async () =>
        patched(await (await small()).gif().toBuffer(), (bytes) => {
          bytes.writeUInt32LE(0xea60_ea60, 6)
          // A screen that its frames do not fill is not believed.
          bytes.writeUInt32LE(0xea60_ea60, bytes.indexOf(Buffer.from([0x2c, 0, 0, 0, 0, 64, 0, 64, 0])) + 5)
        }),
    ],
    [
      'JPEG',
      async () =>
        patched(await (await small()).jpeg().toBuffer(), (bytes) =>
          bytes.writeUInt32BE(0xffdc_ffdc, bytes.indexOf(Buffer.from([0xff, 0xc0])) + 5),
        ),
    ],
    [
      'BMP',
      () => {
        const bytes = Buffer.alloc(60)
        bytes.write('BM')
        bytes.writeUInt32LE(40, 14)
        bytes.writeInt32LE(30_000, 18)
        bytes.writeInt32LE(30_000, 22)
        bytes.writeUInt16LE(24, 28)
        return bytes
      },
    ],
    // div8 0; 30 bits for a height of 2^30; no ratio; the same for the width.
    ['JPEG XL', () => Buffer.from('ff0afeffffffff0101000000', 'hex')],
    ['SVG', () => svg(RED, 'width="100000" height="100000"')],
    ['SVG without a size but that of its view box', () => svg(RED, 'viewBox="0 0 50000 50000"')],
  ])('%s', async (_, make) => {
    const bytes = await make()
    expect(bytes.length).toBeLessThan(200_000)
    expect(await jobs.outcome(bytes)).toBe('too large')
  })

  test.each(['webp', 'avif', 'tiff'] as const)('%s', async (format) => {
    const bytes = await sharp({ create: { width: 2500, height: 2500, channels: 3, background: 'red' } })
      .toFormat(format, { quality: 1, effort: 0, compression: format === 'tiff' ? 'deflate' : undefined })
      .toBuffer()
    expect(bytes.length).toBeLessThan(200_000)
    expect(await jobs.outcome(bytes)).toBe('too large')
  })
})

describe('A small picture with gigabytes behind it', () => {
  const PIXELS = deflateSync(Buffer.alloc(64 * 65))
  const zeros = deflateSync(Buffer.alloc(256 * 2 ** 20), { level: 9 })

  test.each<[string, () => Buffer]>([
    ['in its data', () => png(pngChunk('IDAT', zeros))],
    [
      'in a comment',
      () => png(pngChunk('zTXt', Buffer.concat([Buffer.from('Comment\0\0'), zeros])), pngChunk('IDAT', PIXELS)),
    ],
    [
      'in its colour profile',
      () => png(pngChunk('iCCP', Buffer.concat([Buffer.from('p\0\0'), zeros])), pngChunk('IDAT', PIXELS)),
    ],
    [
      'in many comments',
      () =>
        png(
          ...Array.from({ length: 4 }, () => pngChunk('zTXt', Buffer.concat([Buffer.from('Comment\0\0'), zeros]))),
          pngChunk('IDAT', PIXELS),
        ),
    ],
  ])('%s does not take its memory', async (_, make) => {
    const bytes = make()
    let most = 0
    const watch = setInterval(() => void childrensMemory().then((held) => (most = Math.max(most, held))), 20)
    expect(['made', 'refused']).toContain(await jobs.outcome(bytes))
    clearInterval(watch)
    expect(most).toBeLessThan(300 * 2 ** 20)
  })
})

describe('SVG', () => {
  test.each([
    ['its width and height', 'width="120" height="60"', [48, 24]],
    ['its view box', 'viewBox="0 0 60 120"', [18, 36]],
    ['its width and height in inches', 'width="2in" height="1in"', [48, 24]],
  ] as const)('has the shape of %s', async (_, attributes, [width, height]) => {
    const made = await jobs.make(svg(RED, attributes))
    expect(made).toMatchObject({ kind: 'thumbnail', contentType: 'image/png', width, height })
    expect(await middle(made.thumbnail)).toEqual([255, 0, 0, 255])
  })

  test('is cropped to the size asked for, and never enlarged', async () => {
    expect(await jobs.make(svg(RED, 'viewBox="0 0 500 100"'), { method: 'crop' })).toMatchObject({
      width: 48,
      height: 36,
    })
    expect(await jobs.make(svg(RED, 'width="20" height="10"'))).toMatchObject({
      kind: 'thumbnail',
      width: 20,
      height: 10,
    })
  })

  test('is drawn sharply, however large it says that it is', async () => {
    const { thumbnail } = await jobs.make(
      svg('<rect x="500" width="500" height="750" fill="red"/>', 'width="1000" height="750"'),
    )
    const { data, info } = await sharp(thumbnail).ensureAlpha().raw().toBuffer({ resolveWithObject: true })
    expect([data[23 * 4 + 3], data[24 * 4 + 3], info.width]).toEqual([0, 255, 48])
  })

  test('reads no file and asks nobody', async () => {
    const secret = join(jobs.folder, 'secret.png')
    await (await quarters({ width: 64, height: 64 })).png().toFile(secret)
    await writeFile(join(jobs.folder, 'secret.txt'), 'secret')
    await writeFile(join(jobs.folder, 'secret.css'), 'rect { fill: red }')
    await writeFile(join(jobs.folder, 'secret.svg'), svg(RED))
    let asked = 0
    await using server = createServer((_, response) => {
      asked++
      response.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const folder = `file://${jobs.folder}`
    const references = [folder, jobs.folder, '.', '', `http://127.0.0.1:${port}`].flatMap((base) => [
      `<image width="120" height="90" xlink:href="${base}/secret.png"/>`,
      `<image width="120" height="90" href="${base}/secret.svg"/>`,
      `<use href="${base}/secret.svg#r"/>`,
      `<feImage href="${base}/secret.png"/>`,
      `<style>@import url("${base}/secret.css"); rect { fill: url(${base}/secret.svg#g) none }</style>`,
      `<foreignObject width="120" height="90"><iframe xmlns="http://www.w3.org/1999/xhtml" src="${base}/secret.svg"/></foreignObject>`,
      `<script href="${base}/x.js"/>`,
      `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="${base}/secret.svg" parse="xml"/>`,
      `<text><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="${base}/secret.txt" parse="text"/></text>`,
    ])
    for (const reference of [references.join(''), ...references]) {
      const { thumbnail } = await jobs.make(svg(`${reference}<rect width="120" height="90" fill="none"/>`))
      expect([reference, await middle(thumbnail)]).toEqual([reference, [0, 0, 0, 0]])
    }
    const sheet = `<?xml-stylesheet type="text/css" href="${folder}/secret.css"?><?xml-stylesheet href="http://127.0.0.1:${port}/x.css"?>`
    const { thumbnail } = await jobs.make(svg('<rect width="120" height="90" fill="#00f"/>', undefined, sheet))
    expect(await middle(thumbnail)).toEqual([0, 0, 255, 255])
    expect(asked).toBe(0)
  })

  test('shows nothing of external entities, and its document type is not fetched', async () => {
    await writeFile(join(jobs.folder, 'entity.svg'), RED)
    for (const base of [`file://${jobs.folder}`, jobs.folder]) {
      const prolog = `<?xml version="1.0"?><!DOCTYPE svg SYSTEM "${base}/entity.dtd" [<!ENTITY secret SYSTEM "${base}/entity.svg">]>`
      const bytes = svg('<g>&secret;</g>', undefined, prolog)
      const shown = await jobs.make(bytes).then(
        ({ thumbnail }) => middle(thumbnail),
        () => 'refused',
      )
      expect([[0, 0, 0, 0], 'refused']).toContainEqual(shown)
    }
  })

  test('of an entity that is a thousand million laughs is refused', async () => {
    const entities = Array.from({ length: 9 }, (_, level) => `<!ENTITY l${level + 1} "${`&l${level};`.repeat(10)}">`)
    const prolog = `<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY l0 "<rect width='1' height='1'/>">${entities.join('')}]>`
    expect(await jobs.outcome(svg('&l9;', undefined, prolog))).toBe('refused')
  })

  test('of uses that use uses is refused or cut short, and costs neither minutes nor gigabytes', async () => {
    const levels = Array.from(
      { length: 12 },
      (_, level) => `<g id="u${level + 1}">${`<use href="#u${level}"/>`.repeat(10)}</g>`,
    )
    const outcome = await jobs.outcome(
      svg(`<defs><rect id="u0" width="9" height="9"/>${levels.join('')}</defs><use href="#u12"/>`),
    )
    expect(['made', 'refused']).toContain(outcome)
    const itself = '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>'
    expect(['made', 'refused']).toContain(await jobs.outcome(svg(itself)))
  })

  test.each([
    ['elements in elements', '<g>'.repeat(200_000)],
    ['a path of a million points', `<path d="M0 0${'l1 1'.repeat(250_000)}"/>`],
    [
      'a picture of gigapixels inside',
      `<image width="9" height="9" href="data:image/png;base64,${pngBomb(60_000, 60_000).toString('base64')}"/>`,
    ],
    [
      'a blur without end',
      '<filter id="f"><feGaussianBlur stdDeviation="1e9"/></filter><rect width="99" height="99" filter="url(#f)"/>',
    ],
    ['sizes that are no numbers', '<rect width="1e999" height="-1e999" x="NaN"/>'],
  ])('with %s ends, one way or the other', async (_, inside) => {
    expect(['made', 'refused', 'too large', 'took too much memory']).toContain(await jobs.outcome(svg(inside)))
    expect(await jobs.outcome(svg(RED))).toBe('made')
  })

  test('of no size, or of more bytes than a drawing has, is refused', async () => {
    expect(await jobs.outcome(svg(RED, 'width="0" height="0"'))).toBe('refused')
    const limits = { maxSourceBytes: 0, maxPixels: 4_000_000 }
    const padded = svg(`${RED}<!--${'x'.repeat(11 * 2 ** 20)}-->`)
    expect(await jobs.outcome(padded, { limits })).toBe('too large')
  })
})
