import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import sharp from 'sharp'
import type { Generated, ThumbnailJob } from '../../src/thumbnails/job.ts'
import { openThumbnailPool, type ThumbnailPoolOptions } from '../../src/thumbnails/pool.ts'
import { findPrograms } from '../../src/thumbnails/programs.ts'

const stays = new AbortController().signal

export type Thumbnailed = Generated & { readonly target: string }

export interface Thumbnailer extends AsyncDisposable {
  /** Makes a thumbnail of a file, or of bytes, of 80 × 60 pixels unless told otherwise. */
  readonly thumbnail: (source: string | Buffer, asked?: Partial<ThumbnailJob>) => Promise<Thumbnailed>
}

/** A pool of one worker with the programs that this machine has, for jobs that may make thumbnails of `types`. */
export function openThumbnailer(
  folder: string,
  types: readonly string[],
  options: Partial<ThumbnailPoolOptions> = {},
): Thumbnailer {
  const log = pino({ level: 'silent' })
  const programs = findPrograms(process.env['PATH'] ?? '', stays)
  // Long enough for a machine under load.
  const pool = openThumbnailPool({ workers: 1, jobTimeoutMs: 60_000, queueLimit: 100, log, programs, ...options })
  const limits = { maxSourceBytes: 50_000_000, maxPixels: 32_000_000 }
  let count = 0
  return {
    thumbnail: async (given, asked = {}) => {
      const number = ++count
      const target = join(folder, `target-${number}`)
      const source = typeof given === 'string' ? given : join(folder, `source-${number}`)
      if (typeof given !== 'string') await writeFile(source, given)
      const usual = { width: 80, height: 60, method: 'scale', limits, types, stillFrame: 0.5 } as const
      return { ...(await pool.generate({ source, target, ...usual, ...asked }, stays)), target }
    },
    [Symbol.asyncDispose]: () => pool.close(),
  }
}

/** The colour of a pixel as `#rgb`; `x` and `y` from 0 (left, top) to 1. */
export async function colourAt(path: string, x: number, y: number): Promise<string> {
  const { data, info } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const column = Math.round(x * (info.width - 1))
  const row = Math.round(y * (info.height - 1))
  const at = (row * info.width + column) * info.channels
  return `#${[...data.subarray(at, at + 3)].map((part) => Math.round(part / 17).toString(16)).join('')}`
}
