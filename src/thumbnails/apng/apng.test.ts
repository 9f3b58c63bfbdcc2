import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { animatedPng, chunksOf, type FrameOptions, plainPng } from '../../../test/support/animated-png.ts'
import { pngChunk } from '../../../test/support/images.ts'
import { composeFrames } from './compose.ts'
import { readAnimatedPng } from './read.ts'

const red = await plainPng(4, 2, 'r')
const green = await plainPng(2, 1, 'g')
const blue = await plainPng(1, 2, 'b')

const disposing = (dispose: number) => [{ png: red }, { png: green, x: 1, y: 1, dispose }, { png: blue }]
const blending = (png: Buffer, blend: number) => [{ png: red }, { png, x: 1, blend }, { png: green, blend: 1 }]
const halfTransparent = (colour: string) => plainPng(4, 2, colour, 0.5)

/** The pixels of each canvas, row by row: the letters of the colours in it, `.` for none, with alpha where it is half. */
async function canvases(frames: readonly FrameOptions[], still?: Buffer): Promise<readonly string[]> {
  const png = readAnimatedPng(animatedPng({ frames, ...(still ? { still } : {}) }))
  if (!png) throw new Error('no animation')
  const seen: string[] = []
  for await (const canvas of composeFrames(png)) seen.push(show(canvas, png.animation.width))
  return seen
}

function show(canvas: Buffer, width: number): string {
  const pixels = Array.from({ length: canvas.length / 4 }, (_, pixel) => {
    const [r = 0, g = 0, b = 0, alpha = 0] = canvas.subarray(pixel * 4, pixel * 4 + 4)
    if (alpha === 0) return '.'
    const name = [r > 100 ? 'r' : '', g > 100 ? 'g' : '', b > 100 ? 'b' : ''].join('')
    return alpha === 255 ? name : `${name}${alpha}`
  })
  return [pixels.slice(0, width), pixels.slice(width)].map((row) => row.join('')).join('/')
}

describe('the canvas after each frame', () => {
  test('keeps, clears or restores the place of the one before', async () => {
    expect(await canvases(disposing(0))).toEqual(['rrrr/rrrr', 'rrrr/rggr', 'brrr/bggr'])
    expect(await canvases(disposing(1))).toEqual(['rrrr/rrrr', 'rrrr/rggr', 'brrr/b..r'])
    expect(await canvases(disposing(2))).toEqual(['rrrr/rrrr', 'rrrr/rggr', 'brrr/brrr'])
  })

  test('is empty when the first frame is to be restored to what was before it', async () => {
    expect(
      await canvases([
        { png: red, dispose: 2 },
        { png: blue, x: 3 },
      ]),
    ).toEqual(['rrrr/rrrr', '...b/...b'])
  })

  test('is covered by a frame, or drawn over', async () => {
    const nothing = await plainPng(1, 2, 'g', 0)
    const half = await plainPng(1, 2, 'g', 0.5)
    expect((await canvases(blending(nothing, 0)))[1]).toBe('r.rr/r.rr')
    expect((await canvases(blending(nothing, 1)))[1]).toBe('rrrr/rrrr')
    expect((await canvases(blending(half, 0)))[1]).toBe('rg128rr/rg128rr')
    expect((await canvases(blending(half, 1)))[1]).toBe('rrgrr/rrgrr')
    expect((await canvases(blending(half, 0)))[2]).toBe('ggrr/rg128rr')
  })

  test('mixes two half transparent colours as the specification says', async () => {
    const png = readAnimatedPng(
      animatedPng({ frames: [{ png: await halfTransparent('r') }, { png: await halfTransparent('g'), blend: 1 }] }),
    )
    const last: number[][] = []
    if (png) for await (const canvas of composeFrames(png)) last.push([...canvas.subarray(0, 4)])
    // alpha 1 - (1 - 128/255)², colours by their share in it
    expect(last).toEqual([
      [255, 0, 0, 128],
      [85, 170, 0, 192],
    ])
  })

  test('does not have the picture that is in no frame', async () => {
    expect(await canvases([{ png: red }, { png: green }], await plainPng(4, 2, 'b'))).toEqual([
      'rrrr/rrrr',
      'ggrr/rrrr',
    ])
    // Then the first frame need not be as large as the canvas.
    expect(await canvases([{ png: green, x: 2 }, { png: blue }], red)).toEqual(['..gg/....', 'b.gg/b...'])
  })

  test.each([
    ['a palette', { palette: true }],
    ['interlaced rows', { progressive: true }],
  ])('is made of frames with %s, too', async (_, options) => {
    const half = await sharp(red)
      .composite([{ input: await plainPng(2, 2, 'b'), left: 2, top: 0 }])
      .png(options)
      .toBuffer()
    expect(await canvases([{ png: half, dispose: 1 }, { png: half }])).toEqual(['rrbb/rrbb', 'rrbb/rrbb'])
  })

  test('is not made of a frame whose data is damaged', async () => {
    const bytes = animatedPng({ frames: [{ png: red }, { png: withData(green, Buffer.from('no data')) }] })
    const png = readAnimatedPng(bytes)
    const all = async () => png && (await Array.fromAsync(composeFrames(png)))
    await expect(all()).rejects.toThrow()
  })
})

describe('an animated PNG says', () => {
  test('its size, how long each frame is shown, and how often all are', () => {
    const delays = [
      [1, 25],
      [3, 0],
      [0, 7],
      [65535, 1000],
    ] as const
    const bytes = animatedPng({ plays: 7, frames: delays.map((delay) => ({ png: red, delay })) })
    expect(readAnimatedPng(bytes)).toMatchObject({
      plays: 7,
      animation: { width: 4, height: 2, frames: 4, delays: [40, 30, 0, 65_535] },
    })
  })
})

describe('a PNG is no animation', () => {
  const two = [{ png: red }, { png: green }]
  test.each([
    ['without the announcement', red],
    ['with one frame', animatedPng({ frames: [{ png: red }] })],
    ['with fewer frames than announced', animatedPng({ frames: two, says: 3 })],
    ['with more frames than announced', animatedPng({ frames: two, says: 1 })],
    ['with a frame that leaves the canvas to the right', animatedPng({ frames: [{ png: red }, { png: green, x: 3 }] })],
    ['with a frame that leaves the canvas below', animatedPng({ frames: [{ png: red }, { png: green, y: 2 }] })],
    ['with an unknown way to dispose', animatedPng({ frames: [{ png: red }, { png: green, dispose: 3 }] })],
    ['with an unknown way to blend', animatedPng({ frames: [{ png: red }, { png: green, blend: 2 }] })],
    ['with a frame without data', animatedPng({ frames: [{ png: red }, { png: withData(green) }] })],
    ['with a frame without width', animatedPng({ frames: [{ png: red }, { png: withWidth(green, 0) }] })],
    ['with a chunk that says it is as long as 4 GiB', lengthened(animatedPng({ frames: two }))],
    ['with a list of chunks that fills the memory', padded(animatedPng({ frames: two }), 100_000)],
    ['that is cut off', animatedPng({ frames: two }).subarray(0, -1)],
    ['that is empty', Buffer.alloc(0)],
    ['that is another file', Buffer.from('GIF89a and more')],
  ])('%s', (_, bytes) => {
    expect(readAnimatedPng(bytes)).toBeUndefined()
  })

  test('only when it has too many chunks', () => {
    expect(readAnimatedPng(padded(animatedPng({ frames: two }), 10_000))).toBeDefined()
  })

  test('with a bit of it changed, wherever', async () => {
    const good = animatedPng({ frames: two })
    expect(readAnimatedPng(good)).toBeDefined()
    for (let at = 0; at < good.length - 12; at++) {
      const bad = Buffer.from(good)
      bad.writeUInt8(bad.readUInt8(at) ^ 4, at)
      expect(readAnimatedPng(bad)).toBeUndefined()
    }
  })

  test('whose frames are in another order than their numbers', () => {
    const [header, ...chunks] = chunksOf(animatedPng({ frames: [{ png: red }, { png: green }, { png: green }] }))
    const frames = chunks.filter(({ type }) => type === 'fdAT')
    const swapped = chunks.map((chunk) => (chunk === frames[0] ? frames[1] : chunk === frames[1] ? frames[0] : chunk))
    const bytes = [header, ...swapped].flatMap((chunk) => (chunk ? [pngChunk(chunk.type, chunk.data)] : []))
    expect(readAnimatedPng(Buffer.concat([red.subarray(0, 8), ...bytes]))).toBeUndefined()
  })
})

function withData(png: Buffer, data?: Buffer): Buffer {
  const chunks = chunksOf(png).filter(({ type }) => type !== 'IDAT')
  const own = data ? [{ type: 'IDAT', data }] : []
  return Buffer.concat([png.subarray(0, 8), ...[...chunks, ...own].map((chunk) => pngChunk(chunk.type, chunk.data))])
}

function withWidth(png: Buffer, width: number): Buffer {
  const changed = Buffer.from(png)
  changed.writeUInt32BE(width, 16)
  return changed
}

/** With so many empty chunks before its end. */
function padded(png: Buffer, chunks: number): Buffer {
  const empty = Array<Buffer>(chunks).fill(pngChunk('tEXt', Buffer.alloc(0)))
  return Buffer.concat([png.subarray(0, -12), ...empty, png.subarray(-12)])
}

function lengthened(png: Buffer): Buffer {
  const changed = Buffer.from(png)
  changed.writeUInt32BE(0xffffffff, 8 + 25)
  return changed
}
