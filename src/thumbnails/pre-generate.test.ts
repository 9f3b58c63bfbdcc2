import { expect, test } from 'vitest'
import type { MediaRecord } from '../db/media.ts'
import { openMetrics } from '../lib/metrics.ts'
import type { Context } from '../media/context.ts'
import { recordingLog } from '../../test/support/log.ts'
import type { ThumbnailParts } from './get.ts'
import { PreGeneration, sizesToMake } from './pre-generate.ts'

test('All sizes are made scaled, and square ones cropped too', () => {
  expect(sizesToMake([{ width: 32, height: 32 }])).toEqual([
    { width: 32, height: 32, method: 'scale' },
    { width: 32, height: 32, method: 'crop' },
  ])
  expect(sizesToMake([{ width: 32, height: 24 }])).toEqual([{ width: 32, height: 24, method: 'scale' }])
})

test('Nothing is made in advance while somebody waits for a thumbnail, nor of what is called no picture', async () => {
  const asked: number[] = []
  const metrics = openMetrics({ version: 'test' })
  const { log } = recordingLog()
  let waiting = 0
  const parts = {
    events: { log, metrics },
    thumbnailPool: {
      get waiting() {
        return waiting
      },
    },
    records: {
      keptThumbnail: () => undefined,
      // As if it were there already: all that matters is whether it was asked for.
      findThumbnail: async ({ width }: { width: number }) => {
        asked.push(width)
        if (width === 48) waiting = 1
        return { usedAt: 0, variant: 'still' }
      },
    },
    reads: { noteThumbnail() {} },
  } as unknown as ThumbnailParts
  const sizes = [32, 48, 64].map((width) => ({ width, height: 1 }))
  const thumbnails = { preGenerate: true, types: ['image/png'], sizes, dynamicSizing: false }
  const ctx = { log, homeserver: { thumbnails } } as unknown as Context
  {
    await using making = new PreGeneration()
    making.add(parts, ctx, media('text/plain'))
    making.add(parts, ctx, media('image/PNG; foo=bar'))
    await expect.poll(() => dropped()).toBe(1)
  }
  expect(asked).toEqual([32, 48])

  function dropped(): number {
    return metrics.preGenerationsDropped.of().value
  }
})

const media = (contentType: string) => ({ contentType, sha256: 'a', size: 1 }) as MediaRecord
