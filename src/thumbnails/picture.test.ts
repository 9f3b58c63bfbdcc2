import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Loader, makeStill, prepareLibvips } from './picture.ts'

const readers = [
  ['jpeg', 'VipsForeignLoadJpegFile'],
  ['png', 'VipsForeignLoadPngFile'],
  ['gif', 'VipsForeignLoadNsgifFile'],
  ['webp', 'VipsForeignLoadWebpFile'],
  ['avif', 'VipsForeignLoadHeifFile'],
  ['tiff', 'VipsForeignLoadTiffFile'],
] as const

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cellarium-test-'))
  for (const [format] of readers) {
    const picture = sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
    await picture.toFormat(format).toFile(join(folder, format))
  }
  await writeFile(join(folder, 'svg'), '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>')
})
afterAll(() => rm(folder, { recursive: true }))
afterEach(() => {
  sharp.unblock({ operation: ['VipsForeignLoad'] })
})

function make(format: string, loader: Loader) {
  const source = join(folder, format)
  const limits = { maxSourceBytes: 0, maxPixels: 1_000_000 }
  const job = {
    source,
    target: join(folder, 'target'),
    width: 32,
    height: 32,
    method: 'scale',
    limits,
    types: [],
    stillFrame: 0,
  }
  const picture = { contentType: `image/${format}`, input: source, loader, opaque: 'png' } as const
  return makeStill({ ...job, method: 'scale', stillFrame: 0 }, picture)
}

test.each(readers)('a picture that is %s is read by %s and by no other reader', async (format, loader) => {
  expect(await make(format, loader)).toMatchObject({ kind: 'thumbnail', width: 32 })
  for (const [, other] of readers) {
    if (other !== loader) await expect(make(format, other)).rejects.toThrow('cannot be decoded')
  }
})

test('a worker reads nothing before it is told with which reader', async () => {
  prepareLibvips()
  for (const format of [...readers.map(([format]) => format), 'svg']) {
    await expect(sharp(join(folder, format)).metadata()).rejects.toThrow('unsupported')
  }
})

test('the reader of one picture is not there for the next one', async () => {
  await make('png', 'VipsForeignLoadPngFile')
  await make('jpeg', 'VipsForeignLoadJpegFile')
  await expect(sharp(join(folder, 'png')).metadata()).rejects.toThrow('unsupported')
  expect(await sharp(join(folder, 'jpeg')).metadata()).toMatchObject({ format: 'jpeg' })
})
