import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import pino from 'pino'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { thumbnails as thumbnailsSection } from '../../src/config/sections/thumbnails.ts'
import { type FilePreview, previewFile } from '../../src/previews/files.ts'
import type { Source } from '../../src/previews/preview.ts'
import { openThumbnailPool, type ThumbnailPool } from '../../src/thumbnails/pool.ts'
import { findPrograms } from '../../src/thumbnails/programs.ts'
import { sniffBegin } from '../../src/thumbnails/sniff.ts'
import { film, pdfOf, recording } from '../support/films.ts'
import { type Folder, temporaryFolder } from '../support/folder.ts'
import { quarters } from '../support/images.ts'
import { sourceOf } from '../support/preview-source.ts'
import { describeWith } from '../support/services.ts'

const stays = new AbortController().signal
const thumbnails = thumbnailsSection.parse({})

let folder: Folder
let scratch: Folder
let pool: ThumbnailPool
beforeAll(async () => {
  folder = await temporaryFolder()
  scratch = await temporaryFolder()
  const programs = findPrograms(process.env['PATH'] ?? '', stays)
  const log = pino({ level: 'silent' })
  pool = openThumbnailPool({ workers: 1, jobTimeoutMs: 60_000, queueLimit: 10, log, programs })
})
afterAll(async () => {
  await pool.close()
  await folder[Symbol.asyncDispose]()
  await scratch[Symbol.asyncDispose]()
})

async function preview(source: Source, ...filePreviewTypes: readonly string[]): Promise<FilePreview | undefined> {
  const parts = { thumbnailPool: pool, scratch: scratch.path, sniffBegin }
  await using _ = source
  return await previewFile(parts, { urlPreviews: { filePreviewTypes }, thumbnails }, source, stays)
}

/** What is known of its picture, and that nothing of it is left behind. */
async function pictureIn(found: FilePreview | undefined) {
  const picture = found?.picture
  if (!picture) throw new Error('there is no picture')
  const { contentType, width, height, size } = picture
  const bytes = await buffer(picture.bytes())
  expect(bytes.length).toBe(size)
  await picture[Symbol.asyncDispose]()
  expect(await readdir(scratch.path)).toEqual([])
  return { contentType, width, height, bytes }
}

const png = async () => await (await quarters({ width: 300, height: 200 })).png().toBuffer()

describe('An address of a picture', () => {
  test('is previewed with its name and itself, measured', async () => {
    const bytes = await png()
    const url = 'https://example.org/a/Sch%C3%B6nes%20Bild.png?size=1'
    const found = await preview(sourceOf(bytes, { url, contentType: 'image/png' }), 'image/*')
    expect(found?.draft).toEqual({ title: 'Schönes Bild.png', type: 'image' })
    expect(await pictureIn(found)).toEqual({ contentType: 'image/png', width: 300, height: 200, bytes })
  })

  test('is what its bytes are, upright, whatever its site calls it', async () => {
    const turned = await (
      await quarters({ width: 300, height: 200 })
    )
      .jpeg()
      .withMetadata({ orientation: 6 })
      .toBuffer()
    const found = await preview(sourceOf(turned, { contentType: 'application/octet-stream' }), 'image/jpeg')
    expect(await pictureIn(found)).toMatchObject({ contentType: 'image/jpeg', width: 200, height: 300 })
  })

  test.each([
    [`attachment; filename="cat.png"; filename*=UTF-8''%E7%8C%AB.png`, '猫.png'],
    ['inline; filename="../../etc/cat.png"', 'cat.png'],
    [Buffer.from('inline; filename="ö.png"').toString('latin1'), 'ö.png'],
    ['inline', 'x.png'],
    ['nonsense;;;', 'x.png'],
  ])('is called as its header %j says', async (header, title) => {
    const headers = { 'content-disposition': header }
    const found = await preview(
      sourceOf('%PDF', { url: 'https://e.org/x.png', headers, contentType: 'text/plain' }),
      '*',
    )
    expect(found?.draft.title).toBe(title)
  })

  test.each([
    ['https://e.org/%FF%FE', '%FF%FE'],
    ['https://e.org/a%2Fb', 'a/b'],
    ['https://e.org/', 'e.org'],
    ['https://e.org//x//', 'x'],
  ])('%s is called %s', async (url, title) => {
    expect((await preview(sourceOf('text', { url, contentType: 'text/plain' }), 'text/*'))?.draft.title).toBe(title)
  })

  test('that is no picture, damaged or cut off has a name only, and nothing is left behind', async () => {
    const bytes = await png()
    const cut = sourceOf(bytes.subarray(0, bytes.length / 2), { contentType: 'image/png' })
    expect(await preview(cut, 'image/*')).toEqual({
      draft: { title: 'example.org', type: 'image' },
      contentType: 'image/png',
    })
    const lies = sourceOf(Buffer.from([0, 1, 2, 3]), { contentType: 'image/png' })
    expect(await preview(lies, 'image/*')).toBeUndefined()
    expect(await readdir(scratch.path)).toEqual([])
  })

  test('that thumbnails.types does not let be decoded has a name only', async () => {
    const svg = sourceOf('<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>', {
      contentType: 'text/xml',
    })
    expect(await preview(svg, 'image/*')).toEqual({
      draft: { title: 'example.org', type: 'image' },
      contentType: 'image/svg+xml',
    })
  })

  test('leaves nothing behind when its body breaks off', async () => {
    const source = sourceOf(
      await sharp({
        create: {
          width: 900,
          height: 900,
          channels: 3,
          background: 'red',
          noise: { type: 'gaussian', mean: 128, sigma: 90 },
        },
      })
        .png()
        .toBuffer(),
    )
    let read = 0
    source.body.on('data', (piece: Buffer) => {
      read += piece.length
      if (read > 200_000) source.body.destroy(new Error('broken off'))
    })
    await expect(preview(source, 'image/*')).rejects.toThrow('broken off')
    expect(await readdir(scratch.path)).toEqual([])
  })
})

const textFile = () =>
  sourceOf('First line\n\n  second  line', { url: 'https://e.org/a.txt', contentType: 'text/plain' })

describe('Types of files', () => {
  test('that are not listed are not previewed, nor read to their end', async () => {
    const source = sourceOf(Buffer.concat([await png(), Buffer.alloc(50_000_000)]), { pieceBytes: 16_384 })
    let read = 0
    source.body.on('data', (piece: Buffer) => (read += piece.length))
    expect(await preview(source, 'video/*', 'text/*')).toBeUndefined()
    expect(read).toBeLessThan(1_000_000)
    expect(await preview(textFile())).toBeUndefined()
    expect(await preview(textFile(), 'image/*')).toBeUndefined()
  })

  test('may be listed in any of several lines', async () => {
    expect((await preview(textFile(), 'image/*', ' Text/Plain '))?.draft).toEqual({
      title: 'a.txt',
      description: 'First line second line',
    })
  })

  test('of texts are as their site says, in whatever charset', async () => {
    const latin = sourceOf(Buffer.from('Grüße', 'latin1'), { contentType: 'text/markdown', charset: 'iso-8859-1' })
    expect((await preview(latin, 'text/markdown'))?.draft.description).toBe('Grüße')
    const unnamed = sourceOf('# no type', { contentType: '' })
    expect(await preview(unnamed, 'text/plain')).toMatchObject({ contentType: 'text/plain' })
    const code = sourceOf('{"a": 1}', { contentType: 'application/json' })
    expect(await preview(code, 'application/*')).toEqual({
      draft: { title: 'example.org' },
      contentType: 'application/json',
    })
    const lies = sourceOf('MZ\0\0', { contentType: 'text/plain' })
    expect(await preview(lies, 'text/*')).toBeUndefined()
  })

  test('of feeds are previewed with what the feed says', async () => {
    const rss =
      '<?xml version="1.0"?><rss><channel><title>News</title><description>All of it</description></channel></rss>'
    for (const listed of ['application/rss+xml', 'text/xml']) {
      expect(await preview(sourceOf(rss, { contentType: 'text/xml' }), listed)).toEqual({
        draft: { title: 'News', description: 'All of it' },
        contentType: 'application/rss+xml',
      })
    }
    const items = Array.from({ length: 5000 }, (_, id) => ({ id, content_text: 'x'.repeat(30) }))
    const json = JSON.stringify({ version: 'https://jsonfeed.org/version/1', items, title: 'At the end' })
    const found = await preview(sourceOf(json, { contentType: 'application/json' }), 'application/feed+json')
    expect(found?.draft).toEqual({ title: 'At the end' })
  })

  test('that nobody knows have a name only', async () => {
    const url = 'https://e.org/a.bin'
    const found = await preview(
      sourceOf(Buffer.from([0, 1, 2]), { url, contentType: 'application/x-own' }),
      'application/*',
    )
    expect(found).toEqual({ draft: { title: 'a.bin' }, contentType: 'application/x-own' })
  })
})

describeWith(['ffmpeg', 'pdftoppm'], 'An address of a film, a recording or a PDF file', () => {
  test('that is a film is previewed with a frame, and where it can be seen', async () => {
    const url = 'https://example.org/film.mp4'
    const bytes = await readFile(await film(folder.path, 'film.mp4', ['-c:v', 'libx264', '-pix_fmt', 'yuv420p']))
    const found = await preview(sourceOf(bytes, { url, contentType: 'video/mp4' }), 'video/*')
    expect(found?.draft).toMatchObject({ title: 'film.mp4', type: 'video.other' })
    expect(Object.fromEntries(found?.draft.more ?? [])).toEqual({
      'og:video': url,
      'og:video:type': 'video/mp4',
      'og:video:width': 160,
      'og:video:height': 120,
    })
    expect(await pictureIn(found)).toMatchObject({ contentType: 'image/jpeg', width: 160, height: 120 })
  })

  test('that is a recording is previewed with its sound drawn, and where it can be heard', async () => {
    const url = 'https://example.org/song.mp3'
    const bytes = await readFile(await recording(folder.path, 'song.mp3'))
    const found = await preview(sourceOf(bytes, { url, contentType: 'application/octet-stream' }), 'audio/*')
    expect(found?.draft).toMatchObject({ title: 'song.mp3', type: 'music.song' })
    expect(Object.fromEntries(found?.draft.more ?? [])).toEqual({ 'og:audio': url, 'og:audio:type': 'audio/mpeg' })
    expect(await pictureIn(found)).toMatchObject({ width: 800, height: 600 })
  })

  test('that is a PDF file is previewed with its first page', async () => {
    const bytes = pdfOf([
      { width: 300, height: 400, colour: '1 0 0' },
      { width: 300, height: 400, colour: '0 1 0' },
    ])
    const found = await preview(
      sourceOf(bytes, { contentType: 'application/pdf', url: 'https://e.org/a.pdf' }),
      'application/pdf',
    )
    expect(found?.draft).toEqual({ title: 'a.pdf' })
    const { contentType, width, height, bytes: page } = await pictureIn(found)
    expect([contentType, width, height]).toEqual(['image/png', 450, 600])
    const { dominant } = await sharp(page).stats()
    expect(dominant.r).toBeGreaterThan(200)
    expect(dominant.g).toBeLessThan(50)
  })

  test('is not decoded where it is not listed, although pictures are', async () => {
    const bytes = await readFile(join(folder.path, 'film.mp4'))
    expect(await preview(sourceOf(bytes, { contentType: 'image/png' }), 'image/*')).toBeUndefined()
  })
})
