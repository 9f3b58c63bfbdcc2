import { makeStillElsewhere } from '../elsewhere.ts'
import type { Generated, Generator, ThumbnailJob } from '../job.ts'
import { makeStill, type Picture, prepareLibvips, readHeader } from '../picture.ts'
import type { Outside } from '../run-program.ts'

const names = ['image/heic', 'image/heif']

/**
 * HEIC and HEIF. The prebuilt libvips reads the container, and so the size, but has no decoder for HEVC, which is patented:
 * the program heif-dec has (Debian: libheif-examples). AV1 inside it decodes itself.
 */
export const heif: Generator = {
  types: new Map(
    ['image/heic', 'image/heif', 'image/heic-sequence', 'image/heif-sequence'].map((type) => [type, names]),
  ),
  prepare: prepareLibvips,
  generate,
}

async function generate(
  job: ThumbnailJob,
  contentType: string,
  timeLimitMs: number,
  outside: Outside,
): Promise<Generated> {
  const picture: Picture = { contentType, input: job.source, loader: 'VipsForeignLoadHeifFile', opaque: 'jpeg' }
  const { width, height, hasAlpha, compression, pages = 1, pagePrimary = 0 } = await readHeader(picture)
  if (compression === 'av1') return await makeStill(job, picture)
  const as = hasAlpha ? 'png' : 'jpg'
  const foreign = {
    contentType,
    // The program decodes all pictures of a file and numbers them from 1.
    size: { width, height: height * pages },
    program: 'heif-dec',
    as,
    args: (target: string) => ['--quiet', '-q', '95', job.source, target],
    ...(pages > 1 ? { written: `picture-${pagePrimary + 1}.${as}` } : {}),
  } as const
  return await makeStillElsewhere(job, foreign, timeLimitMs, outside)
}
