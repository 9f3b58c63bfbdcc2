import sharp, { type OverlayOptions, type Sharp } from 'sharp'
import { Refused } from '../../lib/errors.ts'
import type { Generated, Sound, ThumbnailJob } from '../job.ts'
import { checkPixels, encode, type Picture, readHeader, write } from '../picture.ts'
import { sniff } from '../sniff.ts'
import { type MediaFile, type Probed, readSound, SAMPLES_PER_SECOND, type Stream, takeCover } from './ffmpeg.ts'
import { KeySamples } from './key-samples.ts'
import { type Canvas, type Colour, drawNote, drawWave, fill } from './wave.ts'

const background: Colour = [41, 57, 92]
const bars: Colour = [240, 240, 240]
const widestPadding = 16
const shareOfCover = 0.66

/**
 * A picture of a recording, as MMR draws it: its cover to the left, its sound to the right, exactly as large as asked. Without
 * a cover there is a note in its place.
 */
export async function drawSound(file: MediaFile, { streams }: Probed, maxSeconds: number): Promise<Generated> {
  const sound = streams.find(({ kind }) => kind === 'audio')
  if (!sound)
    throw new Refused('not_thumbnailable', 'Cannot make a thumbnail: there is neither picture nor sound in it')
  const { padding, side, left, top, columns } = layOut(file.job)
  const canvas = fill(file.job, background)
  const heard = await listenTo(file, sound, maxSeconds)
  const peaks = heard.mean.columns(columns)
  if (!peaks) {
    throw new Refused('not_thumbnailable', 'Cannot make a thumbnail: no sound of this recording can be decoded')
  }
  drawWave(canvas, peaks, { left: left + side + padding, padding, colour: bars })
  const cover = await readCover(file, streams, side)
  if (!cover) drawNote(canvas, { left, top, side, colour: bars })
  const parts: readonly OverlayOptions[] = cover
    ? [{ input: cover, raw: { width: side, height: side, channels: 3 }, left, top }]
    : []
  const drawn = await write(file.job, 'audio', draw(canvas, parts, file.job))
  return file.job.sound ? { ...drawn, sound: describe(sound, heard) } : drawn
}

function describe({ channels, duration, sampleRate }: Stream, heard: KeySamples): Sound {
  const seconds = duration || heard.samples / SAMPLES_PER_SECOND
  return { channels, samples: Math.round(seconds * sampleRate), keySamples: heard.pairs() }
}

/** Small pictures have less around the cover than MMR's 16 pixels, or nothing would be left of it. */
function layOut({ width, height }: ThumbnailJob) {
  const padding = Math.min(widestPadding, Math.floor(Math.min(width, height) / 6))
  const side = Math.max(1, Math.min(Math.floor(height * shareOfCover), width - padding))
  const columns = Math.max(1, width - side - 3 * padding)
  return { padding, side, left: padding, top: Math.floor((height - side) / 2), columns }
}

/** Both channels only for who wants to know of both: that takes longer. */
async function listenTo(file: MediaFile, sound: Stream, maxSeconds: number): Promise<KeySamples> {
  const channels = file.job.sound && sound.channels > 1 ? 2 : 1
  const heard = new KeySamples(channels)
  await readSound(file, sound, { maxSeconds, channels }, (piece) => heard.add(piece))
  return heard
}

/** A square of the cover, three bytes a pixel; undefined if there is none that may be decoded. The sound is shown either way. */
async function readCover({ job, ...file }: MediaFile, streams: Probed['streams'], side: number) {
  const stream = streams.find(({ kind }) => kind === 'cover')
  if (!stream) return undefined
  try {
    const path = await takeCover({ job, ...file }, stream)
    const cover = path === undefined ? undefined : await coverOf(path, job.types)
    if (!cover) return undefined
    checkPixels(await readHeader(cover), job)
    const picture = sharp(cover.input, { failOn: 'error', limitInputPixels: job.limits.maxPixels, pages: 1 })
    const square = picture.autoOrient().resize(side, side).toColourspace('srgb').flatten({ background: '#000' })
    return await square.raw().toBuffer()
  } catch (error) {
    if (file.signal.aborted) throw error
    // A cover that is damaged is no cover.
    return undefined
  }
}

/** What covers are, and what enables them: a type that the administrator has taken off the list is not decoded here either. */
const covers: ReadonlyMap<string, { readonly loader: Picture['loader']; readonly names: readonly string[] }> = new Map([
  ['image/jpeg', { loader: 'VipsForeignLoadJpegFile', names: ['image/jpeg', 'image/jpg'] }],
  ['image/png', { loader: 'VipsForeignLoadPngFile', names: ['image/png'] }],
])

async function coverOf(path: string, enabled: readonly string[]): Promise<Picture | undefined> {
  const contentType = (await sniff(path)) ?? ''
  const kind = covers.get(contentType)
  if (!kind?.names.some((name) => enabled.includes(name))) return undefined
  return { contentType, input: path, loader: kind.loader, opaque: 'jpeg' }
}

function draw({ width, height, pixels }: Canvas, parts: readonly OverlayOptions[], job: ThumbnailJob): Sharp {
  const picture = sharp(pixels, { raw: { width, height, channels: 3 } })
    .composite([...parts])
    .removeAlpha()
  return encode(picture, { opaque: 'png' }, { hasAlpha: false }, job)
}
