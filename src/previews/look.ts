import type { HomeserverConfig } from '../config/schema.ts'
import { CallerGone, messagesOf, Refused, Unavailable } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Facts } from './facts.ts'
import { fetchSource, type PreviewFetchParts } from './fetch.ts'
import type { LocalPicture } from './file-picture.ts'
import { type FilePreviewParts, previewFile } from './files.ts'
import { mergeDrafts } from './drafts.ts'
import { freshForMs } from './freshness.ts'
import { NoPreview } from './no-preview.ts'
import { askOEmbed, type OEmbedAnswer } from './oembed.ts'
import { discoveredEndpoint, isWorthAsking } from './oembed-links.ts'
import type { OEmbedProviders } from './oembed-providers.ts'
import { readPage } from './page.ts'
import type { Draft, Source } from './preview.ts'
import { previewers, previewPage, type PreviewType } from './previewers.ts'

export interface LookParts extends PreviewFetchParts, FilePreviewParts {
  readonly oEmbedProviders: Pick<OEmbedProviders, 'endpointFor'>
  readonly log: Pick<Log, 'debug'>
}

/** What is looked at, for whom. */
export interface Look {
  readonly homeserver: HomeserverConfig
  readonly url: URL
  /** For `Accept-Language`. */
  readonly language: string
  readonly signal: AbortSignal
}

/** What a look at an address found. */
export interface Looked extends AsyncDisposable {
  readonly draft: Draft
  readonly type: PreviewType
  /** How long it holds, in ms. */
  readonly freshForMs: number
  /** It is no page but a file, with this picture. It is deleted on disposal. */
  readonly picture?: LocalPicture | undefined
}

/**
 * Looks at an address: the oEmbed service that answers for it, else the page, and what that leaves open the service that it names;
 * or the file, where it is none.
 *
 * @throws {NoPreview} when there is nothing that could be previewed
 * @throws Refused `limited` when too much is being decoded
 */
export async function lookAt(parts: LookParts, look: Look): Promise<Looked> {
  const known = await askKnownService(parts, look)
  if (known) return looked(known.draft, 'oembed', known.freshMs)
  await using source = await fetchSource(parts, look.homeserver, look.url, look)
  return isPage(source) ? await lookAtPage(parts, look, source) : await lookAtFile(parts, look, source)
}

/** Of those, the markup tells; a site that names no type sends a page. */
function isPage({ contentType }: Source): boolean {
  return contentType === '' || contentType === 'text/html' || contentType === 'application/xhtml+xml'
}

async function lookAtPage(parts: LookParts, look: Look, source: Source): Promise<Looked> {
  const facts = await readPage(source)
  const own = source.status === 200 ? previewPage(facts) : previewWall(facts, source)
  const freshFor = freshForMs(source)
  const endpoint = isWorthAsking(own) ? discoveredEndpoint(source, facts.links) : undefined
  const service = endpoint && look.homeserver.urlPreviews.oEmbed ? await ask(parts, look, endpoint) : undefined
  if (!service) return looked(own, 'opengraph', freshFor)
  return looked(mergeDrafts([own, service.draft]), own.title === undefined ? 'oembed' : 'opengraph', freshFor)
}

/**
 * What a page says for those who preview it, that shows others a wall: its text would be about signing in, or consent.
 *
 * @throws {NoPreview} when it says nothing
 */
function previewWall(facts: Facts, { url, status }: Source): Draft {
  const { plainHtml: _, ...meant } = previewers
  const draft = mergeDrafts(Object.values(meant).map((previewer) => previewer(facts)))
  if (draft.title === undefined) throw new NoPreview('status', new Error(`${url.host} answers ${status}`))
  return draft
}

async function lookAtFile(parts: LookParts, look: Look, source: Source): Promise<Looked> {
  const file = await previewFile(parts, look.homeserver, source, look.signal)
  if (!file) return looked({}, 'calculated', freshForMs(source))
  const { draft, picture } = file
  const dispose = async () => await picture?.[Symbol.asyncDispose]()
  return { ...looked(draft, 'calculated', freshForMs(source)), picture, [Symbol.asyncDispose]: dispose }
}

/** Services that are known to answer for an address, which their pages often do not. */
async function askKnownService(parts: LookParts, look: Look): Promise<OEmbedAnswer | undefined> {
  const { oEmbed, oEmbedProviders } = look.homeserver.urlPreviews
  const endpoint = oEmbed ? await parts.oEmbedProviders.endpointFor(oEmbedProviders, look.url) : undefined
  return endpoint && (await ask(parts, look, endpoint))
}

/** A service that is of no use is none: what the page says has to do. */
async function ask(parts: LookParts, look: Look, endpoint: URL): Promise<OEmbedAnswer | undefined> {
  const fetch = (url: URL) => fetchSource(parts, look.homeserver, url, { ...look, accept: OEMBED })
  try {
    return await askOEmbed(fetch, endpoint)
  } catch (error) {
    look.signal.throwIfAborted()
    if (error instanceof Unavailable || error instanceof CallerGone) throw error
    if (error instanceof Refused && error.reason === 'limited') throw error
    parts.log.debug({ host: endpoint.host, reasons: messagesOf(error) }, 'an oEmbed service is of no use')
    return undefined
  }
}

const OEMBED = 'application/json,text/xml;q=0.5,*/*;q=0.1'

function looked(draft: Draft, type: PreviewType, freshFor = freshForMs({ headers: {} })): Looked {
  return { draft, type, freshForMs: freshFor, [Symbol.asyncDispose]: async () => {} }
}
