import { open } from 'node:fs/promises'
import { makeStillElsewhere } from '../elsewhere.ts'
import type { Generated, Generator, ThumbnailJob } from '../job.ts'
import { JXL_HEADER_BYTES, type JxlHeader, readJxlHeader } from '../jxl-size.ts'
import { damaged, prepareLibvips } from '../picture.ts'
import type { Outside } from '../run-program.ts'

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
  const { plain, ...size } = await readHeader(job.source, contentType)
  // A JPEG takes a tenth of the time that a PNG does. What was a JPEG before is not to be unpacked as that, but drawn anew, upright.
  const asJpeg = ['--pixels_to_jpeg', '--jpeg_quality=95']
  // No --bits_per_sample: version 0.7 makes noise of pictures with 16 bits when it is told 8.
  const args = (target: string) => [job.source, target, ...(plain ? asJpeg : []), '--num_threads=1', '--quiet']
  const as = plain ? 'jpg' : 'png'
  return await makeStillElsewhere(job, { contentType, size, program: 'djxl', as, args }, timeLimitMs, outside)
}

async function readHeader(path: string, contentType: string): Promise<JxlHeader> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(JXL_HEADER_BYTES), position: 0 })
  try {
    return readJxlHeader(buffer.subarray(0, bytesRead))
  } catch (cause) {
    throw damaged(contentType, cause)
  }
}
