import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Generated, ThumbnailJob } from './job.ts'
import { checkPixels, makeStill } from './picture.ts'
import type { ProgramName } from './programs.ts'
import { type Outside, runProgram } from './run-program.ts'
import type { Size } from './sizes.ts'

/** A picture that libvips cannot read, and how a program of the machine makes PNG or JPEG of it. */
export interface Foreign {
  readonly contentType: string
  /** As its header says; all pictures that the program will decode count. */
  readonly size: Size
  readonly program: ProgramName
  /** What the program is to write: PNG keeps transparency, and takes ten times as long as JPEG. */
  readonly as: 'png' | 'jpg'
  /** The program's arguments for writing to `target`, the name of a file in the folder where it works. */
  readonly args: (target: string) => readonly string[]
  /** The name of what it writes, where that is not `target`. */
  readonly written?: string
}

const LOADERS = { png: 'VipsForeignLoadPngFile', jpg: 'VipsForeignLoadJpegFile' } as const
/** 16 bits each of red, green, blue and alpha: a PNG is never much larger than its pixels. */
const MOST_BYTES_A_PIXEL = 8
const ROOM_BYTES = 2 ** 20

/**
 * A thumbnail of a picture that a program decodes. What comes out of it goes the way of every other picture: its size is
 * checked again, since a header may have said less than there was.
 *
 * @throws Refused `too_large`, or `not_thumbnailable` when it cannot be decoded or the program is not installed
 */
export async function makeStillElsewhere(
  job: ThumbnailJob,
  { contentType, size, program, as, args, written }: Foreign,
  timeLimitMs: number,
  outside: Outside,
): Promise<Generated> {
  checkPixels(size, job)
  const folder = await mkdtemp(join(tmpdir(), 'picture-'))
  await using cleanUp = new AsyncDisposableStack()
  cleanUp.defer(() => rm(folder, { recursive: true, force: true }))
  const maxOutputBytes = size.width * size.height * MOST_BYTES_A_PIXEL + ROOM_BYTES
  const target = `picture.${as}`
  const signal = AbortSignal.timeout(timeLimitMs)
  await runProgram(outside, { program, args: args(target), folder, maxOutputBytes, signal })
  const input = join(folder, written ?? target)
  // These programs turn pictures upright themselves.
  const picture = { contentType, input, loader: LOADERS[as], opaque: 'jpeg', upright: true } as const
  return await makeStill(job, picture)
}
