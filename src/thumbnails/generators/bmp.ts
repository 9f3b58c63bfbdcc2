import { open } from 'node:fs/promises'
import { BMP_HEADER_BYTES, readBmpHeader } from '../bmp-header.ts'
import { bmpBytes, decodeBmp, type Pixels } from '../bmp-pixels.ts'
import type { Generated, Generator, ThumbnailJob } from '../job.ts'
import { checkPixels, damaged, makeStill, prepareLibvips } from '../picture.ts'

/** BMP, read by ourselves: the prebuilt libvips has no reader for it, and 200 lines of JavaScript cannot be made to overflow. */
export const bmp: Generator = {
  types: new Map([['image/bmp', ['image/bmp', 'image/x-bmp']]]),
  prepare: prepareLibvips,
  generate,
}

async function generate(job: ThumbnailJob, contentType: string): Promise<Generated> {
  const { data, ...raw } = await decode(job, contentType)
  const picture = { contentType, input: data, loader: 'none', opaque: 'png', options: { raw } } as const
  return await makeStill(job, picture)
}

async function decode(job: ThumbnailJob, contentType: string): Promise<Pixels> {
  await using file = await open(job.source)
  const start = await readFirst(file, BMP_HEADER_BYTES)
  const header = reading(contentType, () => readBmpHeader(start))
  checkPixels(header, job)
  const bytes = await readFirst(file, bmpBytes(header))
  return reading(contentType, () => decodeBmp(bytes, header))
}

/** The first bytes of a file, fewer if it has fewer. */
async function readFirst(file: Awaited<ReturnType<typeof open>>, most: number): Promise<Buffer> {
  const { size } = await file.stat()
  const bytes = Buffer.alloc(Math.min(most, size))
  let read = 0
  while (read < bytes.length) {
    const { bytesRead } = await file.read(bytes, read, bytes.length - read, read)
    if (bytesRead === 0) break
    read += bytesRead
  }
  return bytes.subarray(0, read)
}

function reading<Result>(contentType: string, read: () => Result): Result {
  try {
    return read()
  } catch (cause) {
    throw damaged(contentType, cause)
  }
}
