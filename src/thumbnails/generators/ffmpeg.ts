import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ThumbnailJob } from '../job.ts'
import { type Outside, runProgram } from '../run-program.ts'

/** A kind of container: the demuxer that reads it, and the decoders that what is in it may be decoded with. */
export interface Container {
  /** The demuxer's name, and the only one that may open the file. */
  readonly demuxer: string
  readonly video: readonly string[]
  readonly audio: readonly string[]
  /** The demuxer's own options. */
  readonly options?: readonly string[]
}

/** What a program of ffmpeg works on. */
export interface MediaFile {
  readonly job: ThumbnailJob
  readonly container: Container
  readonly outside: Outside
  /** For files that are made on the way. */
  readonly folder: string
  readonly signal: AbortSignal
}

export interface Stream {
  readonly index: number
  readonly kind: 'video' | 'audio' | 'cover'
  /** Pixels; 0 if not known. */
  readonly width: number
  readonly height: number
  /** Seconds; 0 if not known. */
  readonly duration: number
  readonly frameDuration: number
  /** Of sound; 0 of pictures. */
  readonly channels: number
  /** A second, of each channel. */
  readonly sampleRate: number
}

export interface Probed {
  readonly streams: readonly Stream[]
  /** Of the whole, in seconds; 0 if not known. */
  readonly duration: number
}

/** What else may be in a file. ffprobe wants to open a decoder for each stream, and fails if it may not; ffmpeg leaves it out. */
const besides = [
  ['mjpeg', 'png', 'ac3', 'eac3', 'amrnb', 'libopencore_amrnb', 'amrwb', 'libopencore_amrwb'],
  ['mov_text', 'webvtt', 'subrip', 'ass', 'ssa'],
].flat()

const maxProbeBytes = 1024 ** 2
const usualFrameSeconds = 0.04

/** What is in a file, as far as its headers and the first of its frames tell. */
export async function probe(file: MediaFile): Promise<Probed> {
  const pieces: Buffer[] = []
  const ofStreams = 'index,codec_type,width,height,duration,avg_frame_rate,channels,sample_rate'
  const entries = `stream=${ofStreams}:stream_disposition=attached_pic:format=duration`
  await runProgram(file.outside, {
    program: 'ffprobe',
    folder: file.folder,
    signal: file.signal,
    maxOutputBytes: maxProbeBytes,
    args: ['-v', 'error', ...inputArgs(file, 'all'), '-show_entries', entries, '-of', 'json'],
    onOutput: (piece) => pieces.push(piece),
  })
  const { streams = [], format = {} } = JSON.parse(Buffer.concat(pieces).toString()) as ProbeAnswer
  return { streams: streams.flatMap(readStream), duration: positive(format.duration) }
}

/**
 * One frame as a PNG, upright and with square pixels; gives its path, or undefined if there was none.
 *
 * @param seek `at` in seconds; `exactly` decodes from the key frame before it on, else that key frame is what comes.
 */
export async function grabFrame(
  file: MediaFile,
  stream: Stream,
  seek: { readonly at: number; readonly exactly: boolean },
): Promise<string | undefined> {
  const target = join(file.folder, 'frame')
  const { maxPixels } = file.job.limits
  const position = seek.at > 0 ? ['-ss', seek.at.toFixed(3), ...(seek.exactly ? [] : ['-noaccurate_seek'])] : []
  const args = [
    position,
    ['-max_pixels', String(maxPixels * 2 + decoderMargin), ...inputArgs(file, 'video')],
    ['-map', `0:${stream.index}`, '-frames:v', '1', '-filter_threads', '1', '-vf', squarePixels],
    ['-pix_fmt', 'rgb24', '-c:v', 'png', '-compression_level', '1', '-threads', '1'],
    ['-f', 'image2pipe', `file:${target}`],
  ]
  await ffmpeg(file, maxPixels * bytesPerPixel + decoderMargin, args.flat())
  return await madeSomething(target)
}

/** The cover as it is in the file, not decoded; gives its path, or undefined if it is empty. */
export async function takeCover(file: MediaFile, stream: Stream): Promise<string | undefined> {
  const target = join(file.folder, 'cover')
  const output = ['-map', `0:${stream.index}`, '-frames:v', '1', '-c', 'copy', '-f', 'image2pipe', `file:${target}`]
  await ffmpeg(file, maxCoverBytes, [...inputArgs(file, 'none'), ...output])
  return await madeSomething(target)
}

const maxCoverBytes = 32 * 1024 ** 2
/** Enough for a drawing. */
export const SAMPLES_PER_SECOND = 8000

/**
 * The sound as signed 16-bit samples, little-endian, `SAMPLES_PER_SECOND` of each channel, one channel beside the other; at most
 * `maxSeconds`.
 */
export async function readSound(
  file: MediaFile,
  stream: Stream,
  { maxSeconds, channels }: { readonly maxSeconds: number; readonly channels: 1 | 2 },
  onOutput: (piece: Buffer) => void,
): Promise<void> {
  const args = [
    ['-t', String(maxSeconds), ...inputArgs(file, 'audio')],
    ['-map', `0:${stream.index}`, '-ac', String(channels), '-ar', String(SAMPLES_PER_SECOND)],
    ['-filter_threads', '1', '-c:a', 'pcm_s16le', '-f', 's16le', 'pipe:1'],
  ]
  // A second more than asked for: resamplers give a few samples more than they should.
  await ffmpeg(file, (maxSeconds + 1) * SAMPLES_PER_SECOND * 2 * channels, args.flat(), onOutput)
}

/** Pixels that are not square lose in the direction that has too many: nothing becomes larger by what a header says. */
const squarePixels = "scale=w='max(1,iw*min(1,sar))':h='max(1,ih/max(1,sar))',setsar=1"

/** PNG of noise is a little larger than its three bytes a pixel. */
const bytesPerPixel = 4
/** Decoders count what they add at the edges, and files have headers. The frame that comes of it is counted again. */
const decoderMargin = 1_000_000
const maxAllocationBytes = 512 * 1024 ** 2

async function ffmpeg(
  { outside, folder, signal }: MediaFile,
  maxOutputBytes: number,
  args: readonly string[],
  onOutput?: (piece: Buffer) => void,
): Promise<void> {
  await runProgram(outside, {
    program: 'ffmpeg',
    folder,
    signal,
    maxOutputBytes,
    ...(onOutput ? { onOutput } : {}),
    args: ['-v', 'error', '-nostdin', '-y', '-max_alloc', String(maxAllocationBytes), ...args],
  })
}

/**
 * The options that name the input, and keep ffmpeg to it: one file, no other protocol, one demuxer, which follows no
 * references to other files, and the decoders of this container. Subtitles and data are not for us.
 */
function inputArgs({ job, container }: MediaFile, decoders: 'all' | 'video' | 'audio' | 'none'): readonly string[] {
  const { demuxer, video, audio, options = [] } = container
  const allowed = { all: [...video, ...audio, ...besides], video, audio, none: [] }[decoders]
  return [
    ['-threads', '1', '-protocol_whitelist', 'file', '-format_whitelist', demuxer, '-f', demuxer, ...options],
    // An empty list would allow all of them.
    ['-codec_whitelist', allowed.join(',') || 'none'],
    ['-i', `file:${job.source}`],
  ].flat()
}

async function madeSomething(path: string): Promise<string | undefined> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  )
  return size > 0 ? path : undefined
}

/** What ffprobe prints; numbers that it calls times are strings. */
interface ProbeAnswer {
  readonly streams?: readonly {
    readonly index: number
    readonly codec_type?: string
    readonly width?: number
    readonly height?: number
    readonly duration?: string
    readonly avg_frame_rate?: string
    readonly channels?: number
    readonly sample_rate?: string
    readonly disposition?: { readonly attached_pic?: number }
  }[]
  readonly format?: { readonly duration?: string }
}

function readStream(stream: NonNullable<ProbeAnswer['streams']>[number]): readonly Stream[] {
  const { index, codec_type: type, width = 0, height = 0 } = stream
  if (type !== 'video' && type !== 'audio') return []
  const kind = stream.disposition?.attached_pic ? 'cover' : type
  const sound = { channels: stream.channels ?? 0, sampleRate: positive(stream.sample_rate) }
  const times = { duration: positive(stream.duration), frameDuration: frameDuration(stream.avg_frame_rate) }
  return [{ index, kind, width, height, ...times, ...sound }]
}

/** 0 if there is none. */
function positive(text: string | undefined): number {
  const value = Number(text)
  return Number.isFinite(value) && value > 0 ? value : 0
}

/** Of a rate such as `30000/1001` or, if there is none, `0/0`. */
function frameDuration(rate = ''): number {
  const [frames, perSeconds] = rate.split('/').map(Number)
  const duration = (perSeconds ?? 1) / (frames ?? 0)
  return Number.isFinite(duration) && duration > 0 ? duration : usualFrameSeconds
}
