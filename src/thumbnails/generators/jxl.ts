import { open } from 'node:fs/promises'
import { makeStillElsewhere } from '../elsewhere.ts'
import type { Generated, Generator, ThumbnailJob } from '../job.ts'
import { JXL_HEADER_BYTES, readJxlSize } from '../jxl-size.ts'
import { damaged, prepareLibvips } from '../picture.ts'
import type { Outside } from '../run-program.ts'
import type { Size } from '../sizes.ts'

/** JPEG XL, by the program djxl (Debian: libjxl-tools); libvips is built without it. Of an animation, the first picture. */
export const jxl: Generator = {
  types: new Map([['image/jxl', ['image/jxl']]]),
  prepare: prepareLibvips,
  generate,
}

async function generate(
  job: ThumbnailJob,
  contentType: string,
  timeLimitMs: number,
  outside: Outside,
): Promise<Generated> {
  const size = await readSize(job.source, contentType)
  // No --bits_per_sample: version 0.7 makes noise of pictures with 16 bits when it is told 8.
  const args = (target: string) => [job.source, target, '--num_threads=1', '--quiet']
  return await makeStillElsewhere(job, { contentType, size, program: 'djxl', as: 'png', args }, timeLimitMs, outside)
}

async function readSize(path: string, contentType: string): Promise<Size> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(JXL_HEADER_BYTES), position: 0 })
  try {
    return readJxlSize(buffer.subarray(0, bytesRead))
  } catch (cause) {
    throw damaged(contentType, cause)
  }
}
