import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../../test/support/folder.ts'
import type { Generated, ThumbnailJob } from './job.ts'
import { lookAt } from './look-at.ts'

test('Only what is a picture is decoded to look at it, and nothing is left of that', async () => {
  await using folder = await temporaryFolder()
  const jobs: ThumbnailJob[] = []
  const generate = async (job: ThumbnailJob): Promise<Generated> => {
    jobs.push(job)
    await writeFile(job.target, 'a small picture')
    const source = { width: 4000, height: 3000 }
    return {
      kind: 'thumbnail',
      contentType: 'image/png',
      width: 64,
      height: 48,
      bytes: 15,
      sourceType: 'image/bmp',
      source,
    }
  }
  const options = {
    types: ['image/bmp', 'video/mp4', 'application/pdf', 'audio/mpeg'],
    maxPixels: 5,
    maxSourceBytes: 6,
  }
  const parts = { thumbnailPool: { generate }, scratch: folder.path }
  const seen = await lookAt(parts, '/a/file', options, new AbortController().signal)
  expect(seen).toEqual({ contentType: 'image/bmp', width: 4000, height: 3000 })
  expect(jobs).toMatchObject([{ source: '/a/file', types: ['image/bmp'], limits: { maxPixels: 5, maxSourceBytes: 6 } }])
  expect(existsSync(jobs[0]?.target ?? '')).toBe(false)
  expect(await readdir(folder.path)).toEqual([])
})
