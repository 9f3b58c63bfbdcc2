import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Refused } from '../../lib/errors.ts'
import type { Generated, Generator, ThumbnailJob } from '../job.ts'
import { checkPixels, makeStill, prepareLibvips } from '../picture.ts'
import type { Outside } from '../run-program.ts'
import { type Container, grabFrame, type MediaFile, probe, type Probed, type Stream } from './ffmpeg.ts'
import { drawSound } from './sound.ts'

const pcm = ['pcm_u8', 'pcm_s16le', 'pcm_s24le', 'pcm_s32le', 'pcm_f32le', 'pcm_f64le', 'pcm_alaw', 'pcm_mulaw']
const mp3 = ['mp3float', 'mp3']
const av1 = ['libdav1d', 'libaom-av1', 'av1']

const mov: Container = {
  demuxer: 'mov',
  // Tracks that are in other files. Also the default, but this is nothing to leave to a default.
  options: ['-enable_drefs', '0', '-use_absolute_path', '0'],
  video: ['h264', 'hevc', 'mpeg4', 'vp9', ...av1, 'h263', 'mjpeg', 'prores'],
  audio: ['aac', 'alac', 'opus', 'flac', ...mp3, ...pcm, 'pcm_s16be', 'pcm_s24be'],
}
const webm: Container = { demuxer: 'matroska', video: ['vp8', 'vp9', ...av1], audio: ['opus', 'vorbis'] }
const ogg: Container = { demuxer: 'ogg', video: ['theora', 'vp8'], audio: ['vorbis', 'opus', 'flac', 'speex'] }
const mpeg: Container = { demuxer: 'mp3', video: [], audio: mp3 }
const wav: Container = { demuxer: 'wav', video: [], audio: [...pcm, 'adpcm_ms', 'adpcm_ima_wav'] }
const flac: Container = { demuxer: 'flac', video: [], audio: ['flac'] }

/** By the type that the bytes say: what reads it, and the names in `thumbnails.types` that enable it. */
const kinds: ReadonlyMap<string, { readonly container: Container; readonly names: readonly string[] }> = new Map([
  ['video/mp4', { container: mov, names: ['video/mp4'] }],
  ['video/x-m4v', { container: mov, names: ['video/x-m4v', 'video/mp4'] }],
  ['video/quicktime', { container: mov, names: ['video/quicktime'] }],
  ['video/3gpp', { container: mov, names: ['video/3gpp'] }],
  ['video/webm', { container: webm, names: ['video/webm'] }],
  ['video/ogg', { container: ogg, names: ['video/ogg'] }],
  // What begins with neither picture nor sound, but with a description of both.
  ['application/ogg', { container: ogg, names: ['video/ogg'] }],
  ['audio/mp4', { container: mov, names: ['audio/mp4', 'audio/x-m4a'] }],
  ['audio/x-m4a', { container: mov, names: ['audio/mp4', 'audio/x-m4a'] }],
  ['audio/ogg', { container: ogg, names: ['audio/ogg'] }],
  ['audio/ogg; codecs=opus', { container: ogg, names: ['audio/ogg', 'audio/opus'] }],
  ['audio/mpeg', { container: mpeg, names: ['audio/mpeg'] }],
  ['audio/wav', { container: wav, names: ['audio/wav'] }],
  ['audio/flac', { container: flac, names: ['audio/flac'] }],
])

/** Longer recordings are refused: their bytes are few, but the sound takes its time to decode. */
const longestSeconds = 12 * 3600
/** Of the time that a job has; the rest is for the worker, so that it answers rather than being ended. */
const shareOfTime = 0.85
/** Of that: a frame far behind its key frame may take long, and the key frame is not a bad picture either. */
const shareForExactFrame = 0.5

/** Films and recordings, by ffmpeg: a frame, or a picture of the sound. Only a program of its own ever decodes them. */
export const media: Generator = {
  types: new Map([...kinds].map(([type, { names }]) => [type, names])),
  prepare: prepareLibvips,
  generate,
}

async function generate(
  job: ThumbnailJob,
  contentType: string,
  timeLimitMs: number,
  outside: Outside,
): Promise<Generated> {
  const { container } = kinds.get(contentType) ?? { container: mov }
  const folder = await mkdtemp(join(tmpdir(), 'media-'))
  await using cleanUp = new AsyncDisposableStack()
  cleanUp.defer(() => rm(folder, { recursive: true, force: true }))
  const ms = Math.round(timeLimitMs * shareOfTime)
  const file = { job, container, outside, folder, signal: AbortSignal.timeout(ms) }
  const probed = await probe(file)
  checkDuration(probed)
  const video = contentType.startsWith('audio/') ? undefined : probed.streams.find(({ kind }) => kind === 'video')
  const lasts = probed.duration > 0 ? { durationMs: probed.duration * 1000 } : {}
  if (!video) {
    return { ...(await drawSound(file, probed, longestSeconds)), ...lasts }
  }
  checkPixels(video, job)
  const frame = await pickFrame(file, video, probed, ms * shareForExactFrame)
  const picture = { contentType, input: frame, loader: 'VipsForeignLoadPngFile', opaque: 'jpeg' } as const
  return { ...(await makeStill(job, picture)), ...lasts, motion: 'cannot' }
}

/** The frame that `stillFrame` asks for, else the key frame before it, else the first: files end before they say so. */
async function pickFrame(file: MediaFile, video: Stream, { duration }: Probed, exactMs: number): Promise<string> {
  const at = seekTo(video, duration, file.job.stillFrame)
  const exact = { ...file, signal: AbortSignal.any([file.signal, AbortSignal.timeout(exactMs)]) }
  const attempts = [() => grabFrame(exact, video, { at, exactly: true })]
  if (at > 0) attempts.push(() => grabFrame(file, video, { at, exactly: false }))
  attempts.push(() => grabFrame(file, video, { at: 0, exactly: false }))
  let failure: unknown
  for (const attempt of attempts) {
    try {
      const frame = await attempt()
      if (frame !== undefined) return frame
    } catch (error) {
      failure = error
      if (file.signal.aborted) break
    }
  }
  throw failure ?? new Refused('not_thumbnailable', 'Cannot make a thumbnail: no frame of this video can be decoded')
}

/** In seconds. Half a frame early: the frame that begins next is the one meant, whichever way times were rounded. */
function seekTo(video: Stream, duration: number, stillFrame: number): number {
  const lastFrame = (video.duration || duration) - video.frameDuration
  return Math.max(0, stillFrame * lastFrame - video.frameDuration / 2)
}

function checkDuration({ duration }: Probed): void {
  if (duration <= longestSeconds) return
  throw new Refused(
    'too_large',
    `This recording lasts ${Math.round(duration)} s; thumbnails are made of recordings up to ${longestSeconds} s`,
  )
}
