import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { textOf } from './bodies.ts'
import { type Feed, mayBeJsonFeed, readFeed } from './feeds.ts'
import { fileNameOf } from './file-name.ts'
import {
  type DecodingOptions,
  type FilePicture,
  type FilePictureParts,
  type LocalPicture,
  pictureOfFile,
} from './file-picture.ts'
import { type FileType, fileTypeOf, isListed } from './file-type.ts'
import type { Draft, Source } from './preview.ts'
import { bounded, tidy } from './text.ts'

/** What of a homeserver's configuration concerns files. */
export interface FilePreviewOptions {
  readonly urlPreviews: { readonly filePreviewTypes: readonly string[] }
  readonly thumbnails: DecodingOptions
}

export interface FilePreviewParts extends FilePictureParts {
  /** The type of a file as its first bytes tell it (`thumbnails/sniff.ts`). */
  readonly sniffBegin: (begin: Buffer) => Promise<string | undefined>
}

export interface FilePreview {
  readonly draft: Draft
  /** What the file is, as its bytes tell. */
  readonly contentType: string
  /** The file itself if it is an image, else a picture made of it. To be disposed of. */
  readonly picture?: LocalPicture
}

/** Enough to know all types by, and for the head of a feed. */
const BEGIN_BYTES = 64 * 1024
/** Feeds in JSON have to be whole; most are larger than their begin. */
const WHOLE_BYTES = 2 * 1024 * 1024
const LONGEST_TEXT = 1000
/** Files that a picture is looked for in. */
const SHOWN = /^(?:image|video|audio)\/|^application\/(?:pdf|ogg)$/

/**
 * The preview of an address that is no page but a file: its name, what it says of itself, and a picture. Undefined for types that
 * `urlPreviews.filePreviewTypes` does not list: of those only the first bytes are read.
 *
 * @throws `Refused` `limited` when too many thumbnails wait, the signal's reason, and what the body fails with
 */
export async function previewFile(
  parts: FilePreviewParts,
  { urlPreviews, thumbnails }: FilePreviewOptions,
  source: Source,
  signal: AbortSignal,
): Promise<FilePreview | undefined> {
  const globs = urlPreviews.filePreviewTypes
  if (globs.length === 0) return undefined
  const body: AsyncIterator<unknown> = source.body[Symbol.asyncIterator]()
  const begin = await readOn(body, Buffer.alloc(0), BEGIN_BYTES)
  const type = await fileTypeOf(parts, source, begin)
  const feed = await feedIn(type, source, { begin, body })
  const contentType = feed?.contentType ?? type.contentType
  if (!isListed(contentType, globs) && !isListed(type.contentType, globs)) return undefined
  const draft = { title: fileNameOf(source), ...(feed?.draft ?? draftOf(type)) }
  if (!SHOWN.test(contentType)) return { draft, contentType }
  const file = { contentType, body: Readable.from(whole(begin, body), { objectMode: false }) }
  return withPicture({ draft, contentType }, source.url, await pictureOfFile(parts, thumbnails, file, signal))
}

/** What has come, and more, until there are so many bytes or no more. */
async function readOn(body: AsyncIterator<unknown>, come: Buffer, most: number): Promise<Buffer> {
  const pieces = [come]
  for (let length = come.length; length < most;) {
    const { done, value } = await body.next()
    if (done) break
    const piece = Buffer.from(value as Uint8Array)
    pieces.push(piece)
    length += piece.length
  }
  return Buffer.concat(pieces)
}

async function feedIn(
  { text }: FileType,
  { url, charset }: Source,
  { begin, body }: { readonly begin: Buffer; readonly body: AsyncIterator<unknown> },
): Promise<Feed | undefined> {
  if (text === undefined) return undefined
  const isCut = begin.length >= BEGIN_BYTES && mayBeJsonFeed(text)
  return readFeed(isCut ? textOf(await readOn(body, begin, WHOLE_BYTES), charset) : text, url)
}

async function* whole(begin: Buffer, rest: AsyncIterator<unknown>): AsyncGenerator {
  yield begin
  yield* { [Symbol.asyncIterator]: () => rest }
}

/** A text's first lines. */
function draftOf({ contentType, text }: FileType): Draft {
  if (contentType !== 'text/plain' && contentType !== 'text/markdown') return {}
  const description = bounded(tidy(text ?? ''), LONGEST_TEXT)
  return description === '' ? {} : { description }
}

function withPicture(
  { draft, contentType }: Pick<FilePreview, 'draft' | 'contentType'>,
  url: URL,
  found: FilePicture | undefined,
): FilePreview {
  const [kind = ''] = contentType.split('/', 1)
  const more = propertiesOf(kind, url, contentType, found?.frame)
  const type = TYPES[kind]
  const whole = { ...draft, ...(type && { type }), ...(more && { more }) }
  return { draft: whole, contentType, ...(found && { picture: found.picture }) }
}

/** Source: Open Graph protocol, "Object Types". A PDF file is of none of them. */
const TYPES: Readonly<Record<string, string>> = { image: 'image', video: 'video.other', audio: 'music.song' }

/** Where it can be seen or heard: a client that wants to play it gets it from there. */
function propertiesOf(
  kind: string,
  url: URL,
  contentType: string,
  frame: FilePicture['frame'],
): ReadonlyMap<string, string | number> | undefined {
  if (kind !== 'video' && kind !== 'audio') return undefined
  const size = kind === 'video' && frame ? Object.entries(frame) : []
  return new Map<string, string | number>([
    [`og:${kind}`, url.href],
    [`og:${kind}:type`, contentType],
    ...size.map(([side, pixels]) => [`og:${kind}:${side}`, pixels] as const),
  ])
}
