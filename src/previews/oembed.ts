import { decodeHTML } from 'entities'
import { beginOf, textOf } from './bodies.ts'
import { type OEmbedFields, oEmbedFields, UnusableAnswer } from './oembed-fields.ts'
import { type Embedded, embeddedIn, pixelsOf, webAddress } from './oembed-html.ts'
import type { Draft, Picture, Source } from './preview.ts'
import { bounded, tidy } from './text.ts'

/** What an oEmbed service says of an address. */
export interface OEmbedAnswer {
  readonly draft: Draft
  /** For how long it holds, in ms, if it says that. */
  readonly freshMs?: number
}

const MOST_BYTES = 256 * 1024
const LONGEST_TEXT = 5000

/**
 * Asks an oEmbed service, through the fetch function that guards everything else.
 *
 * @throws {UnusableAnswer} when the answer is no oEmbed, or says nothing; then what the page itself says has to do
 * @throws whatever `fetch` throws
 */
export async function askOEmbed(fetch: (url: URL) => Promise<Source>, endpoint: URL): Promise<OEmbedAnswer> {
  await using source = await fetch(endpoint)
  const { bytes, whole } = await beginOf(source, MOST_BYTES)
  if (!whole) throw new UnusableAnswer(`oEmbed of more than ${MOST_BYTES} bytes`)
  const fields = oEmbedFields(source.contentType, textOf(bytes, source.charset))
  const draft = draftOf(fields, source.url)
  if (!draft.title && !draft.description && !draft.pictures) throw new UnusableAnswer('oEmbed without anything to show')
  const freshMs = freshnessOf(fields['cache_age'])
  return { draft, ...(freshMs !== undefined && { freshMs }) }
}

/** Source: oEmbed specification, section 2.3.4. What is of the wrong type is passed over. */
function draftOf(fields: OEmbedFields, base: URL): Draft {
  const type = fields['type']
  const isVideo = type === 'video'
  const embedded = isVideo || type === 'rich' ? embeddedIn(stringOf(fields['html']), base) : undefined
  // A post has no title, but somebody who wrote it.
  const title = plain(fields['title']) || plain(fields['author_name'])
  // Not in the specification, and given by many.
  const description = plain(fields['description']) || (isVideo ? '' : (embedded?.text ?? ''))
  const siteName = plain(fields['provider_name'])
  const pictures = picturesOf(fields, base, embedded)
  const more = isVideo ? playerOf(fields, embedded) : new Map<string, string | number>()
  return {
    ...(title !== '' && { title }),
    ...(description !== '' && { description }),
    ...(siteName !== '' && { siteName }),
    ...(isVideo && { type: 'video.other' }),
    ...(pictures.length > 0 && { pictures }),
    ...(more.size > 0 && { more }),
  }
}

function picturesOf(fields: OEmbedFields, base: URL, embedded: Embedded | undefined): Picture[] {
  const photo = fields['type'] === 'photo' ? pictureOf(base, fields['url'], fields['width'], fields['height']) : []
  const thumbnail = pictureOf(base, fields['thumbnail_url'], fields['thumbnail_width'], fields['thumbnail_height'])
  return [...photo, ...thumbnail, ...(embedded?.pictures ?? [])]
}

function pictureOf(base: URL, address: unknown, ...[w, h]: readonly [unknown, unknown]): Picture[] {
  const url = webAddress(address, base)
  const [width, height] = [pixelsOf(w), pixelsOf(h)]
  return url ? [{ url, ...(width !== undefined && { width }), ...(height !== undefined && { height }) }] : []
}

/** Where a film can be watched: what the HTML would embed. */
function playerOf({ width: w, height: h }: OEmbedFields, embedded: Embedded | undefined): Map<string, string | number> {
  const player = embedded?.player
  if (!player) return new Map()
  const [width, height] = [pixelsOf(w), pixelsOf(h)]
  return new Map<string, string | number>([
    ['og:video', player.url.href],
    ...(player.contentType ? ([['og:video:type', player.contentType]] as const) : []),
    ...(width === undefined ? [] : ([['og:video:width', width]] as const)),
    ...(height === undefined ? [] : ([['og:video:height', height]] as const)),
  ])
}

/** Seconds, as a number or in digits. */
function freshnessOf(age: unknown): number | undefined {
  const seconds = typeof age === 'string' && /^\s*\d+\s*$/.test(age) ? Number(age) : age
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined
}

/** Titles are plain text by the specification, and HTML with many services. */
function plain(value: unknown): string {
  return bounded(tidy(decodeHTML(stringOf(value))), LONGEST_TEXT)
}

function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
