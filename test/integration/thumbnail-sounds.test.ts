import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { film, recording, withCover } from '../support/films.ts'
import { type Folder, temporaryFolder } from '../support/folder.ts'
import { quarters } from '../support/images.ts'
import { describeWith } from '../support/services.ts'
import { colourAt, openThumbnailer, type Thumbnailer } from '../support/thumbnailing.ts'

const types = [
  ['audio/mpeg', 'audio/ogg', 'audio/wav', 'audio/flac', 'audio/mp4', 'video/mp4', 'video/webm'],
  ['image/jpeg', 'image/png'],
].flat()
const asked = { width: 320, height: 240 } as const
/** Between 0 and 1: the tone, the silence after it, the upper edge of both. */
const places = { tone: 0.65, silence: 0.9, loud: 0.2, middle: 0.5 }
const background = '#235'
const bars = '#eee'

/** The four quarters of where covers are: 16 pixels from the left, 158 pixels wide and high. */
const coverOf = (path: string) =>
  Promise.all([
    colourAt(path, 40 / 320, 65 / 240),
    colourAt(path, 150 / 320, 65 / 240),
    colourAt(path, 40 / 320, 175 / 240),
    colourAt(path, 150 / 320, 175 / 240),
  ])

describeWith('ffmpeg', 'a thumbnail of a recording', () => {
  let folder: Folder
  let pool: Thumbnailer
  let covers: Readonly<Record<'jpeg' | 'png', string>>
  beforeAll(async () => {
    folder = await temporaryFolder()
    pool = openThumbnailer(folder.path, types)
    covers = { jpeg: join(folder.path, 'cover.jpg'), png: join(folder.path, 'cover.png') }
    const picture = await quarters({ width: 600, height: 400 })
    await picture.jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toFile(covers.jpeg)
    await picture.png().toFile(covers.png)
  })
  afterAll(async () => {
    await pool[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  test.each(['image/webp', 'image/avif'] as const)('can be %s', async (stillAs) => {
    const made = await pool.thumbnail(await recording(folder.path, 'negotiated.wav'), { ...asked, stillAs })
    expect(made).toMatchObject({ kind: 'thumbnail', contentType: stillAs, ...asked })
    expect(await colourAt(made.target, places.silence, places.loud)).toBe(background)
  })

  test.each([
    ['sound.mp3', []],
    ['vorbis.ogg', ['-c:a', 'libvorbis']],
    ['sound.opus', ['-c:a', 'libopus']],
    ['stereo.wav', ['-ac', '2']],
    ['float.wav', ['-c:a', 'pcm_f32le']],
    ['sound.flac', []],
    ['aac.m4a', []],
    ['alac.m4a', ['-c:a', 'alac']],
    ['sound.mp4', ['-vn']],
    ['sound.webm', ['-c:a', 'libopus']],
  ])('shows its loud and its silent parts: %s', async (name, encoding) => {
    const made = await pool.thumbnail(await recording(folder.path, name, encoding), asked)
    expect(made).toMatchObject({ kind: 'thumbnail', contentType: 'image/png', ...asked })
    expect(await colourAt(made.target, places.tone, places.loud)).toBe(bars)
    expect(await colourAt(made.target, places.silence, places.loud)).toBe(background)
    expect(await colourAt(made.target, places.silence, places.middle)).toBe(bars)
    expect(await colourAt(made.target, 0, 0)).toBe(background)
  })

  test.each([
    ['cover.mp3', 'jpeg', ['-id3v2_version', '3']],
    ['cover.mp3', 'png', ['-id3v2_version', '4']],
    ['cover.flac', 'png', []],
    ['cover.m4a', 'jpeg', []],
  ] as const)('has its cover: %s, %s', async (name, format, encoding) => {
    const path = await recording(folder.path, name, [...withCover(covers[format]), ...encoding])
    const made = await pool.thumbnail(path, asked)
    expect(made).toMatchObject({ contentType: 'image/png', ...asked })
    expect(await coverOf(made.target)).toEqual(['#f00', '#0f0', '#00f', '#ff0'])
    expect(await colourAt(made.target, places.tone, places.loud)).toBe(bars)
  })

  test('has a note in the place of a cover of a type that is not enabled, or that is damaged, or missing', async () => {
    const whole = await readFile(await recording(folder.path, 'note.mp3', withCover(covers.png)))
    const damaged = Buffer.from(whole)
    damaged.fill(0, damaged.indexOf('IDAT') + 4, damaged.indexOf('IDAT') + 200)
    const none = await recording(folder.path, 'none.mp3')
    const made = await Promise.all([
      pool.thumbnail(whole, { ...asked, types: ['audio/mpeg', 'image/jpeg'] }),
      pool.thumbnail(damaged, asked),
      pool.thumbnail(none, asked),
    ])
    const seen = await Promise.all(made.map(({ target }) => coverOf(target)))
    expect(seen[0]).not.toContain('#f00')
    expect(new Set(seen.map(String)).size).toBe(1)
    const [first, ...others] = await Promise.all(made.map(({ target }) => readFile(target)))
    for (const other of others) expect(other.length).toBe(first?.length)
  })

  test('has a note in the place of a cover with too many pixels', async () => {
    const path = await recording(folder.path, 'large.mp3', withCover(covers.png))
    const made = await pool.thumbnail(path, { ...asked, limits: { maxSourceBytes: 0, maxPixels: 240_000 } })
    expect(await coverOf(made.target)).not.toContain('#f00')
  })

  test.each([
    [32, 32],
    [1, 1],
    [96, 96],
    [800, 10],
    [10, 800],
  ])('is as large as asked for: %i × %i', async (width, height) => {
    const path = await recording(folder.path, 'sizes.flac', withCover(covers.png))
    expect(await pool.thumbnail(path, { width, height, method: 'crop' })).toMatchObject({ width, height })
  })

  test('is never a frame, where an audio type has pictures that move', async () => {
    const bytes = await readFile(await film(folder.path, 'moving.mp4', ['-c:v', 'libx264']))
    bytes.write('M4A ', 8, 'latin1')
    const made = await pool.thumbnail(bytes, { ...asked, types: ['audio/mp4'] })
    expect(made).toMatchObject({ contentType: 'image/png', ...asked })
    expect(await colourAt(made.target, 0, 0)).toBe(background)
  })

  test('is refused when there is no sound in it', async () => {
    const wav = await readFile(await recording(folder.path, 'empty.wav'))
    await expect(pool.thumbnail(wav.subarray(0, wav.indexOf('data') + 8))).rejects.toThrow('Cannot make a thumbnail')
  })
})
