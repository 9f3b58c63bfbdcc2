import { z } from 'zod'
import {
  anywhere,
  atStart,
  choice,
  decimal,
  flag,
  mainOnly,
  needed,
  option,
  section,
  text,
  whole,
  wholeFromZero,
} from '../option.ts'

const TYPES = [
  'image/jpeg',
  'image/jpg',
  'image/png',
  'image/apng',
  'image/gif',
  'image/heif',
  'image/heic',
  'image/webp',
  'image/avif',
  'image/jxl',
  'image/bmp',
  'image/tiff',
  'audio/mpeg',
  'audio/ogg',
  'audio/wav',
  'audio/flac',
]

/** Types besides, which are made for who lists them. */
const MORE_TYPES = [
  'image/x-bmp',
  'image/svg+xml',
  'video/mp4',
  'video/x-m4v',
  'video/quicktime',
  'video/3gpp',
  'video/webm',
  'video/ogg',
  'audio/mp4',
  'audio/x-m4a',
  'audio/opus',
  'application/pdf',
]

/** Every name that means something in `thumbnails.types`. */
export const THUMBNAIL_TYPES: ReadonlySet<string> = new Set([...TYPES, ...MORE_TYPES])

const SIZES = [
  { width: 32, height: 32 },
  { width: 96, height: 96 },
  { width: 320, height: 240 },
  { width: 640, height: 480 },
  { width: 768, height: 240 },
  { width: 800, height: 600 },
]

const size = z.object({
  width: needed(whole({ min: 1, max: 16_384 }), { ...anywhere, example: 96, description: 'Width in pixels.' }),
  height: needed(whole({ min: 1, max: 16_384 }), { ...anywhere, example: 96, description: 'Height in pixels.' }),
})

export const thumbnails = section('Small pictures of larger files.', {
  maxSourceBytes: option(whole({ min: 0 }), 10_485_760, {
    ...anywhere,
    description: 'Largest file to make a thumbnail of, in bytes; 0 = no limit.',
  }),
  maxPixels: option(whole({ min: 1 }), 32_000_000, {
    ...anywhere,
    description:
      'Most pixels (width × height) of a picture to make a thumbnail of. An animation whose frames have more together gives a still.',
  }),
  numWorkers: option(whole({ min: 1 }), 100, {
    ...atStart,
    description:
      'Most thumbnails made at a time; the machine’s cores limit it further, and its memory: one for each 512 MiB.',
  }),
  types: option(z.array(text()), TYPES, {
    ...anywhere,
    description:
      'Types of files to make thumbnails of, as their bytes tell, not their senders; docs/thumbnails.md has all that there are. Drawings (image/svg+xml), films (video/mp4, video/webm, video/quicktime, video/ogg), audio/mp4 and application/pdf are not listed by default.',
  }),
  maxAnimateSizeBytes: option(whole({ min: 0 }), 10_485_760, {
    ...anywhere,
    description: 'Largest file to make an animated thumbnail of, in bytes; 0 = no limit. Larger ones give a still.',
  }),
  sizes: option(z.array(size).min(1), SIZES, {
    ...anywhere,
    description: 'Sizes that are made. A client gets the smallest that is not smaller than what it asks for.',
  }),
  dynamicSizing: option(flag(), false, {
    ...anywhere,
    description: 'Make any size that clients ask for. Costs disk and time, and lets strangers make you work.',
  }),
  allowAnimated: option(flag(), true, {
    ...anywhere,
    description: 'Make animated thumbnails of animated GIF, PNG and WebP files, for clients that ask for them.',
  }),
  animationFormat: option(choice(['webp', 'gif']), 'webp', {
    ...anywhere,
    description:
      'What animated thumbnails are: webp, smaller and with all colours, or gif, which also very old clients show moving.',
  }),
  defaultAnimated: option(flag(), false, {
    ...anywhere,
    description: 'Send animated thumbnails to clients that do not say what they want.',
  }),
  stillFrame: option(decimal({ min: 0, max: 1 }), 0.5, {
    ...anywhere,
    description: 'Which frame of an animation stands for it: 0 = the first, 1 = the last.',
  }),
  expireAfterDays: option(wholeFromZero(), 0, {
    ...mainOnly,
    description:
      'Remove thumbnails after this many days without use; 0 = never. They are made again when somebody asks for them.',
  }),
  negotiate: option(flag(), false, {
    ...anywhere,
    description:
      'Send stills as WebP or AVIF to clients whose Accept header names these types; image/* is not enough. Smaller answers, more thumbnails to make and keep.',
  }),
  preGenerate: option(flag(), false, {
    ...anywhere,
    description:
      'Make thumbnails when a file is uploaded: all `sizes` scaled, square ones cropped too. After the answer, one at a time, and only while nobody waits for a thumbnail; what is left out is made when somebody asks.',
  }),
})
