import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ThumbnailJob } from '../../src/thumbnails/job.ts'
import { openThumbnailPool, type ThumbnailPool } from '../../src/thumbnails/pool.ts'
import { findPrograms } from '../../src/thumbnails/programs.ts'
import { ALICE, startApp } from '../support/app.ts'
import { film, pdfOf, recording } from '../support/films.ts'
import { type Folder, temporaryFolder } from '../support/folder.ts'
import { seededRandom } from '../support/random.ts'
import { describeWith } from '../support/services.ts'
import { openThumbnailer } from '../support/thumbnailing.ts'

const THUMBNAIL = '/_matrix/client/v1/media/thumbnail'
const stays = new AbortController().signal
const log = pino({ level: 'silent' })
const pdf = pdfOf([{ width: 200, height: 300, colour: '1 0 0' }])

/** Not so a process that has ended and that nobody has asked about yet. */
async function isRunning(pid: number): Promise<boolean> {
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'gone) Z')
  return !/\) [ZX]/.test(state)
}

const ended = (pid: number) => vi.waitFor(async () => expect(await isRunning(pid)).toBe(false), 20_000)

let folder: Folder
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => folder[Symbol.asyncDispose]())

describe.skipIf(process.platform !== 'linux')('a program that never ends', () => {
  let pool: ThumbnailPool
  afterEach(() => pool.close())

  /** A pool whose pdftoppm writes its process id beside the source, and sleeps. */
  async function start(
    jobTimeoutMs: number,
  ): Promise<{ readonly job: ThumbnailJob; readonly pid: () => Promise<number> }> {
    const path = join(folder.path, 'pdftoppm')
    const pidFile = join(folder.path, 'pid')
    await writeFile(path, `#!/bin/sh\necho $$ >${pidFile}\nexec /bin/sleep 60\n`, { mode: 0o755 })
    const found = await findPrograms(process.env['PATH'] ?? '', stays)
    const programs = Promise.resolve({ ...found, pdftoppm: { path, version: '1.0' } })
    pool = openThumbnailPool({ workers: 1, jobTimeoutMs, queueLimit: 10, log, programs })
    const source = await folder.write('source.pdf', pdf.toString('latin1'))
    const limits = { maxSourceBytes: 0, maxPixels: 1_000_000 }
    const types = ['application/pdf']
    const job = { source, target: join(folder.path, 'target'), width: 32, height: 32, limits, types, stillFrame: 0 }
    const pid = () =>
      vi.waitFor(async () => Number.parseInt((await readFile(pidFile, 'utf8')) || 'none yet', 10), 20_000)
    return { job: { ...job, method: 'scale' }, pid }
  }

  test('is ended when its time is over', async () => {
    const { job, pid } = await start(2000)
    await expect(pool.generate(job, stays)).rejects.toMatchObject({
      reason: 'not_thumbnailable',
      message: expect.stringMatching(/takes (too long|longer than)/),
    })
    await ended(await pid())
  })

  test('ends with its worker, when the caller leaves', async () => {
    const { job, pid } = await start(60_000)
    const caller = new AbortController()
    const made = expect(pool.generate(job, caller.signal)).rejects.toThrow('left')
    const running = await pid()
    expect(await isRunning(running)).toBe(true)
    caller.abort(new Error('the caller left'))
    await made
    await ended(running)
  })

  test('ends with its worker, when that is killed', async () => {
    const { job, pid } = await start(60_000)
    const made = expect(pool.generate(job, stays)).rejects.toMatchObject({ reason: 'not_thumbnailable' })
    const running = await pid()
    // The fourth field of stat, after the name, is the parent: the worker.
    const [, parent] = (await readFile(`/proc/${running}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ')
    process.kill(Number(parent), 'SIGKILL')
    await made
    await ended(running)
  })
})

describeWith(['ffmpeg', 'pdftoppm'], 'damaged films, recordings and PDF files', () => {
  const types = ['video/mp4', 'video/webm', 'audio/mpeg', 'audio/ogg', 'application/pdf']
  const refusals = /^Refused: (Cannot make a thumbnail|This (recording|image))/

  test('end in a thumbnail or in a refusal, and the next one is made', async () => {
    await using pool = openThumbnailer(folder.path, types, { workers: 2 })
    const outcome = (bytes: Buffer) => pool.thumbnail(bytes).then(({ kind }) => kind, String)
    const samples = [
      await film(folder.path, 'film.mp4', ['-c:v', 'libx264', '-movflags', 'faststart']),
      await film(folder.path, 'film.webm', ['-c:v', 'libvpx', '-c:a', 'libvorbis']),
      await recording(folder.path, 'sound.mp3'),
      await recording(folder.path, 'sound.ogg', ['-c:a', 'libvorbis']),
      await folder.write('page.pdf', pdf.toString('latin1')),
    ]
    const random = seededRandom(6)
    for (const sample of samples) {
      const whole = await readFile(sample)
      const cut = Array.from({ length: 9 }, (_, tenths) => whole.subarray(0, (whole.length * (tenths + 1)) / 10))
      const flipped = Array.from({ length: 4 }, () => {
        const bytes = Buffer.from(whole)
        for (let flips = 0; flips < 20; flips++) bytes[random.below(bytes.length)] = random.below(256)
        return bytes
      })
      const outcomes = await Promise.all([...cut, ...flipped].map(outcome))
      for (const seen of outcomes) expect(seen).toMatch(seen === 'thumbnail' ? /./ : refusals)
      expect(await outcome(whole)).toBe('thumbnail')
    }
  }, 240_000)
})

describe('a server without the programs', () => {
  test('says at its start what is off, once for each, and answers 400 with the name of what is missing', async () => {
    const empty = join(folder.path, 'empty')
    await mkdir(empty)
    const config = { thumbnails: { types: ['image/png', 'audio/wav', 'application/pdf'] } }
    await using app = await startApp({ config, environment: { PATH: empty } })
    const missing = () =>
      app
        .log()
        .split('\n')
        .flatMap((line) => /the program ([\w-]+) is not installed: [^"]*/.exec(line)?.[0] ?? [])
    await vi.waitFor(() => expect(missing()).toHaveLength(4), 10_000)
    expect(missing()).toEqual([
      'the program ffmpeg is not installed: no thumbnails of audio/wav',
      'the program ffprobe is not installed: no thumbnails of audio/wav',
      'the program pdftoppm is not installed: no thumbnails of application/pdf',
      'the program prlimit is not installed: no thumbnails of audio/wav, application/pdf',
    ])
    const name = await app.upload(pdf, { type: 'application/pdf' })
    const answer = await app.ask(`${THUMBNAIL}/${name}?width=32&height=32`, { token: ALICE.token })
    expect(answer).toMatchObject({ status: 400, json: { errcode: 'M_UNKNOWN' } })
    expect(answer.json['error']).toContain('is not installed on this server')
  })
})

describeWith('pdftoppm', 'a server with the programs', () => {
  test('makes thumbnails of the types that its configuration lists', async () => {
    const config = { thumbnails: { types: ['application/pdf'] } }
    await using app = await startApp({ config, environment: { PATH: process.env['PATH'] } })
    const name = await app.upload(pdf, { type: 'text/plain' })
    const answer = await app.ask(`${THUMBNAIL}/${name}?width=320&height=240`, { token: ALICE.token })
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'image/png' } })
    await vi.waitFor(() => expect(app.log()).toMatch(/pdftoppm \(\d/))
  })
})
