import sharp from 'sharp'
import { expect, test } from 'vitest'
import { images } from './image.ts'

test('a worker decodes nothing but JPEG, PNG, GIF and WebP, whatever a file pretends to be', async () => {
  const picture = sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
  const tiff = await picture.clone().tiff().toBuffer()
  const avif = await picture.clone().avif().toBuffer()
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>')
  for (const bytes of [tiff, avif, svg]) expect((await sharp(bytes).metadata()).width).toBe(8)
  images.prepare()
  for (const bytes of [tiff, avif, svg]) await expect(sharp(bytes).metadata()).rejects.toThrow('unsupported')
})
