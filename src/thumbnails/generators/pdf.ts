import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Generated, Generator, ThumbnailJob } from '../job.ts'
import { makeStill, type Picture, prepareLibvips, readHeader } from '../picture.ts'
import { type Outside, runProgram } from '../run-program.ts'
import type { Size } from '../sizes.ts'

/** Of the time that a job has; the rest is for the worker, so that it answers rather than being ended. */
const shareOfTime = 0.85
/** How many times larger than asked a page is drawn, so that its lines are smooth once it is made smaller. */
const oversampling = 2
const mostPixelsASide = 4096
/** Half of what libpng writes; of a page that is longer still, the middle is looked for in the beginning. */
const longestLine = 500_000

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
  const signal = AbortSignal.timeout(Math.round(timeLimitMs * shareOfTime))
  const draw: Draw = async (name, pixels, args) => {
    // Page 1 alone, without the margins that are cut off in print.
    const options = ['-q', '-png', '-f', '1', '-singlefile', '-cropbox', ...args, job.source, join(folder, name)]
    const maxOutputBytes = pixels.width * pixels.height * 4
    await runProgram(outside, { program: 'pdftoppm', args: options, folder, maxOutputBytes, signal })
    return { contentType, input: join(folder, `${name}.png`), loader: 'VipsForeignLoadPngFile', opaque: 'png' }
  }
  return await makeStill(job, await drawPage(draw, job))
}

/** Draws the page, or a part of it, which has so many pixels at most. */
type Draw = (name: string, pixels: Size, args: readonly string[]) => Promise<Picture>

async function drawPage(draw: Draw, job: ThumbnailJob): Promise<Picture> {
  const side = Math.min(mostPixelsASide, oversampling * Math.max(job.width, job.height))
  // The longer side gets that many pixels, so that a page of ten metres costs no more than another.
  const page = await draw('page', { width: side, height: side }, ['-scale-to', String(side)])
  if (job.method === 'scale') return page
  const { width, height } = await readHeader(page)
  if (width >= job.width && height >= job.height) return page
  return await drawMiddle(draw, job, { width, height })
}

/**
 * Of a page so long that its shorter side has fewer pixels than are asked for: the middle, drawn larger. `page` is the size, in
 * pixels, in which all of it was drawn, too roughly rounded to tell where the middle is: a line of pixels across does.
 */
async function drawMiddle(draw: Draw, job: ThumbnailJob, page: Size): Promise<Picture> {
  const width = Math.min(mostPixelsASide, oversampling * job.width)
  const height = Math.min(mostPixelsASide, oversampling * job.height)
  const isWide = page.width * height > page.height * width
  const scale = isWide ? toSize(-1, height) : toSize(width, -1)
  const line = isWide ? { width: longestLine, height: 1 } : { width: 1, height: longestLine }
  const whole = await readHeader(await draw('line', line, [...scale, ...part(line, { left: 0, top: 0 })]))
  const left = isWide ? Math.max(0, Math.floor((whole.width - width) / 2)) : 0
  const top = isWide ? 0 : Math.max(0, Math.floor((whole.height - height) / 2))
  return await draw('middle', { width, height }, [...scale, ...part({ width, height }, { left, top })])
}

/** Pixels; -1: as many as the shape of the page needs. */
function toSize(width: number, height: number): readonly string[] {
  return ['-scale-to-x', String(width), '-scale-to-y', String(height)]
}

function part({ width, height }: Size, at: { readonly left: number; readonly top: number }): readonly string[] {
  return ['-x', String(at.left), '-y', String(at.top), '-W', String(width), '-H', String(height)]
}
