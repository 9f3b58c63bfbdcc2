import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Generated, Generator, ThumbnailJob } from '../job.ts'
import { makeStill, prepareLibvips } from '../picture.ts'
import { type Outside, runProgram } from '../run-program.ts'

/** Of the time that a job has; the rest is for the worker, so that it answers rather than being ended. */
const shareOfTime = 0.85
/** How many times larger than asked a page is drawn, so that its lines are smooth once it is made smaller. */
const oversampling = 2
const mostPixelsASide = 4096

/** The first page of PDF files, by poppler. Only a program of its own ever reads them. */
export const pdf: Generator = {
  types: new Map([['application/pdf', ['application/pdf']]]),
  prepare: prepareLibvips,
  generate,
}

async function generate(
  job: ThumbnailJob,
  contentType: string,
  timeLimitMs: number,
  outside: Outside,
): Promise<Generated> {
  const folder = await mkdtemp(join(tmpdir(), 'pdf-'))
  await using cleanUp = new AsyncDisposableStack()
  cleanUp.defer(() => rm(folder, { recursive: true, force: true }))
  const page = join(folder, 'page')
  const pixels = Math.min(mostPixelsASide, oversampling * Math.max(job.width, job.height))
  await runProgram(outside, {
    program: 'pdftoppm',
    // The longer side gets that many pixels, so that a page of ten metres costs no more than another.
    args: ['-q', '-png', '-f', '1', '-singlefile', '-cropbox', '-scale-to', String(pixels), job.source, page],
    folder,
    maxOutputBytes: pixels * pixels * 4,
    signal: AbortSignal.timeout(Math.round(timeLimitMs * shareOfTime)),
  })
  const input = `${page}.png`
  return await makeStill(job, { contentType, input, loader: 'VipsForeignLoadPngFile', opaque: 'png' }, timeLimitMs)
}
