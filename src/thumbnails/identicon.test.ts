import { readFile } from 'node:fs/promises'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { identicon } from './identicon.ts'

const fixtures = new URL('../../test/fixtures/identicons/', import.meta.url)

interface Fixture {
  readonly file: string
  readonly seed: string
}

async function pixels(png: Buffer): Promise<Buffer> {
  return sharp(png).removeAlpha().raw().toBuffer()
}

const listed: readonly Fixture[] = JSON.parse(await readFile(new URL('seeds.json', fixtures), 'utf8'))

describe('identicons', () => {
  test.each(listed)('look as MMR draws them, pixel for pixel: $seed', async ({ file, seed }) => {
    const expected = await readFile(new URL(file, fixtures))
    const drawn = await pixels(identicon(`/${seed}`, { width: 96, height: 96 }))
    expect(drawn.equals(await pixels(expected))).toBe(true)
  })

  test.each([
    [512, 512],
    [100, 100],
    [96, 200],
    [301, 97],
  ])('have the size that was asked for: %i × %i', async (width, height) => {
    const metadata = await sharp(identicon('/alice', { width, height })).metadata()
    expect(metadata).toMatchObject({ format: 'png', width, height })
  })

  test('are mirrored from left to right where the width divides evenly', async () => {
    const png = identicon('/bob', { width: 192, height: 192 })
    expect(await pixels(png)).toEqual(await sharp(png).flop().removeAlpha().raw().toBuffer())
  })

  test('keep their pattern when the height differs from the width', async () => {
    const square = await sharp(identicon('/bob', { width: 96, height: 96 }))
      .resize(96, 192, { fit: 'fill', kernel: 'nearest' })
      .removeAlpha()
      .raw()
      .toBuffer()
    expect((await pixels(identicon('/bob', { width: 96, height: 192 }))).equals(square)).toBe(true)
  })
})
