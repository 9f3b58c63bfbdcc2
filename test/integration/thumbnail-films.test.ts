import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { film, make, turned } from '../support/films.ts'
import { type Folder, temporaryFolder } from '../support/folder.ts'
import { describeWith } from '../support/services.ts'
import { colourAt, openThumbnailer, type Thumbnailer } from '../support/thumbnailing.ts'

const types = ['video/mp4', 'video/webm', 'video/quicktime', 'video/ogg']
const refusal = (reason: string, message: RegExp) =>
  expect.objectContaining({ reason, message: expect.stringMatching(message) })

describeWith('ffmpeg', 'a thumbnail of a film', () => {
  let folder: Folder
  let pool: Thumbnailer
  let mp4: string
  beforeAll(async () => {
    folder = await temporaryFolder()
    pool = openThumbnailer(folder.path, types)
    mp4 = await film(folder.path, 'film.mp4')
  })
  afterAll(async () => {
    await pool[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  test.each([
    ['h264.mp4', ['-c:v', 'libx264', '-pix_fmt', 'yuv420p']],
    ['mpeg4.mp4', ['-c:v', 'mpeg4']],
    ['fragments.mp4', ['-c:v', 'libx264', '-movflags', 'frag_keyframe+empty_moov']],
    ['surround.mp4', ['-c:v', 'libx264', '-c:a', 'ac3']],
    ['hevc.mov', ['-c:v', 'libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1', '-x265-params', 'log-level=none']],
    ['prores.mov', ['-c:v', 'prores']],
    ['vp8.webm', ['-c:v', 'libvpx', '-c:a', 'libvorbis']],
    ['vp9.webm', ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-c:a', 'libopus']],
    ['av1.webm', ['-c:v', 'libaom-av1', '-usage', 'realtime', '-cpu-used', '8', '-c:a', 'libopus']],
    ['without-duration.webm', ['-c:v', 'libvpx', '-c:a', 'libvorbis', '-live', '1']],
    ['theora.ogv', ['-c:v', 'libtheora', '-c:a', 'libvorbis']],
  ])('is a frame, as JPEG: %s', async (name, encoding) => {
    const made = await pool.thumbnail(await film(folder.path, name, encoding))
    expect(made).toMatchObject({ kind: 'thumbnail', contentType: 'image/jpeg', width: 80, height: 60 })
    // Without a duration there is no middle.
    expect(await colourAt(made.target, 0.5, 0.5)).toBe(name.startsWith('without') ? '#f00' : '#0f0')
  })

  test.each([
    [0, '#f00'],
    [0.2, '#f00'],
    [0.5, '#0f0'],
    [0.8, '#00f'],
    [1, '#00f'],
  ])('is the frame that stillFrame asks for: %f', async (stillFrame, colour) => {
    expect(await colourAt((await pool.thumbnail(mp4, { stillFrame })).target, 0.5, 0.5)).toBe(colour)
  })

  test.each([
    [0, '#f00'],
    [1, '#00f'],
  ])('can be the very first and the very last: %i', async (stillFrame, colour) => {
    const parts = ['red:d=0.1', 'white:d=2', 'blue:d=0.1'].flatMap((part) => [
      '-f',
      'lavfi',
      '-i',
      `color=${part}:r=10`,
    ])
    const path = await make(folder.path, 'ends.mp4', [...parts, '-filter_complex', 'concat=n=3', '-c:v', 'libx264'])
    expect(await colourAt((await pool.thumbnail(path, { stillFrame })).target, 0.5, 0.5)).toBe(colour)
  })

  test('of a sound that outlasts its pictures is one of them', async () => {
    const short = ['-f', 'lavfi', '-i', 'color=red:d=1', '-f', 'lavfi', '-i', 'sine=d=9']
    const path = await make(folder.path, 'short.webm', [...short, '-c:v', 'libvpx', '-c:a', 'libvorbis'])
    expect(await colourAt((await pool.thumbnail(path, { stillFrame: 1 })).target, 0.5, 0.5)).toBe('#f00')
  })

  // Upper left and lower left of the frame as it is stored are red and blue, the right half is green.
  test.each([
    ['not', [1, 0, 0, 1], [160, 120], ['#f00', '#0f0', '#00f']],
    ['by 90°', [0, 1, -1, 0], [120, 160], ['#00f', '#f00', '#0f0']],
    ['by 180°', [-1, 0, 0, -1], [160, 120], ['#0f0', '#00f', '#0f0']],
    ['by 270°', [0, -1, 1, 0], [120, 160], ['#0f0', '#0f0', '#f00']],
  ] as const)('stands upright: turned %s', async (_, matrix, [width, height], expected) => {
    const filter = [
      ['-f', 'lavfi', '-i', 'color=lime:s=160x120:r=10:d=1'],
      ['-vf', 'drawbox=w=80:h=60:c=red:t=fill,drawbox=y=60:w=80:h=60:c=blue:t=fill'],
    ].flat()
    const path = await make(folder.path, 'turned.mp4', [...filter, '-c:v', 'libx264', '-pix_fmt', 'yuv420p'])
    const made = await pool.thumbnail(await turned(path, matrix), { width: 160, height: 160 })
    expect([made.width, made.height]).toEqual([width, height])
    const corners = [colourAt(made.target, 0.1, 0.1), colourAt(made.target, 0.9, 0.1), colourAt(made.target, 0.1, 0.9)]
    expect(await Promise.all(corners)).toEqual(expected)
  })

  test('has square pixels, whatever those of the film', async () => {
    for (const [aspect, size] of [
      ['8:3', [80, 30]],
      ['2:3', [40, 60]],
    ] as const) {
      const made = await pool.thumbnail(await film(folder.path, 'wide.mp4', ['-c:v', 'libx264', '-aspect', aspect]))
      expect([made.width, made.height]).toEqual(size)
    }
  })

  test('has the colours of the screen, whichever matrix the film uses', async () => {
    const hd = ['-c:v', 'libx264', '-vf', 'scale=out_color_matrix=bt709', '-pix_fmt', 'yuv444p', '-colorspace', 'bt709']
    const orange = ['-f', 'lavfi', '-i', 'color=0xff8800:s=160x120:r=10:d=1']
    const made = await pool.thumbnail(await make(folder.path, 'hd.mp4', [...orange, ...hd]))
    expect(await colourAt(made.target, 0.5, 0.5)).toBe('#f80')
  })

  test('is cropped like that of a picture, and never enlarged', async () => {
    expect(await pool.thumbnail(mp4, { width: 60, height: 60, method: 'crop' })).toMatchObject({
      width: 60,
      height: 60,
    })
    const large = await pool.thumbnail(mp4, { width: 800, height: 600 })
    expect(large).toMatchObject({ kind: 'thumbnail', contentType: 'image/jpeg', width: 160, height: 120 })
  })

  test('is refused for as many pixels as the limit, before a frame is decoded', async () => {
    const limits = { maxSourceBytes: 0, maxPixels: 160 * 120 }
    await expect(pool.thumbnail(mp4, { limits })).rejects.toEqual(refusal('too_large', /160 × 120/))
    expect(await pool.thumbnail(mp4, { limits: { ...limits, maxPixels: 160 * 120 + 1 } })).toMatchObject({ width: 80 })
  })

  test('is refused when the stream has more pixels than its container says', async () => {
    const path = await make(folder.path, 'lying.mp4', ['-f', 'lavfi', '-i', 'color=s=640x480:d=1', '-c:v', 'mpeg4'])
    const bytes = await readFile(path)
    // Width and height of the sample description, which come 24 bytes after its reserved ones.
    const entry = bytes.indexOf('mp4v') + 28
    expect([bytes.readUInt16BE(entry), bytes.readUInt16BE(entry + 2)]).toEqual([640, 480])
    bytes.writeUInt16BE(16, entry)
    bytes.writeUInt16BE(16, entry + 2)
    const limits = { maxSourceBytes: 0, maxPixels: 100_000 }
    await expect(pool.thumbnail(bytes, { limits })).rejects.toThrow(/640 × 480 pixels|cannot be decoded/)
  })

  test('is refused when its pictures are encoded in a way that is not expected in its container', async () => {
    const path = await film(folder.path, 'animation.mov', ['-c:v', 'qtrle'])
    await expect(pool.thumbnail(path)).rejects.toEqual(refusal('not_thumbnailable', /cannot be decoded/))
  })

  test('is refused when it says that it lasts for days', async () => {
    const bytes = await readFile(mp4)
    const header = bytes.indexOf('mvhd')
    // Source: ISO/IEC 14496-12 section 8.2.2: units a second, then units.
    expect([bytes.readUInt32BE(header + 16), bytes.readUInt32BE(header + 20)]).toEqual([1000, 3000])
    bytes.writeUInt32BE(1, header + 16)
    bytes.writeUInt32BE(2 ** 31 - 1, header + 20)
    const outcome = await pool.thumbnail(bytes).catch((error: unknown) => error)
    expect(outcome).toEqual(refusal('too_large', /lasts \d+ s/))
  })

  test('is made only where the type is enabled', async () => {
    await expect(pool.thumbnail(mp4, { types: ['image/jpeg'] })).rejects.toEqual(
      refusal('not_thumbnailable', /video\/mp4/),
    )
  })
})
