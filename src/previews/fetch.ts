import { CODINGS } from '../lib/body.ts'
import { Refused } from '../lib/errors.ts'
import type { DoorResponse, GetOptions } from '../lib/net.ts'
import { retryAfterMs } from '../matrix/retry-after.ts'
import type { Clock } from '../lib/clock.ts'
import type { PreviewDoors, PreviewRules } from './doors.ts'
import { asNoPreview, NoPreview } from './no-preview.ts'
import type { Source } from './preview.ts'
import type { HostTurns } from './turns.ts'

export interface PreviewFetchParts {
  readonly clock: Clock
  readonly previewDoors: Pick<PreviewDoors, 'for'>
  readonly hostTurns: Pick<HostTurns, 'take' | 'rest'>
}

/** What of a homeserver's configuration concerns fetching. */
export interface FetchingOptions {
  readonly urlPreviews: PreviewRules & {
    /** Most bytes of a page; what is longer is cut there. */
    readonly maxPageSizeBytes: number
    readonly userAgent: string
  }
  readonly timeouts: { readonly urlPreviewTimeoutSeconds: number }
}

export interface Wish {
  /** For `Accept-Language`; see `languageFor`. */
  readonly language: string
  readonly signal: AbortSignal
  /** What is wanted, for `Accept`; a page, if not given. */
  readonly accept?: string
}

const PAGES = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.5'
/** Shorteners, consent and language take some; browsers follow twenty. */
const REDIRECTS = 10
/** Where a site that answers 429 does not say for how long. */
const REST_MS = 60_000
/** Pages that want something first, and often say for previews what is behind it. */
const WALLS = new Set([401, 402, 403, 406, 451])
const HTML = new Set(['text/html', 'application/xhtml+xml'])
const COME_LATER = new Set([429, 503])

/**
 * What an address gives, by the guarded door and under the rules of one homeserver. Redirects are followed, each of them checked
 * like the address itself. The body is decompressed and ends after `maxPageSizeBytes`, where it breaks off, or when the time is
 * over (`timeouts.urlPreviewTimeoutSeconds`, for everything from the first look-up on): what has come by then is often all that a
 * preview needs. Not read to its end it has to be disposed of; until then it takes one of the turns at its host.
 *
 * @throws {NoPreview} when there is nothing that could be previewed
 * @throws the signal's reason, when it aborts
 */
export async function fetchSource(
  parts: PreviewFetchParts,
  { urlPreviews, timeouts }: FetchingOptions,
  address: URL,
  wish: Wish,
): Promise<Source> {
  const response = await get(parts, urlPreviews, address, {
    ...wish,
    accept: wish.accept ?? PAGES,
    bodyBytes: urlPreviews.maxPageSizeBytes,
    tooMuch: 'is cut',
    totalMs: timeouts.urlPreviewTimeoutSeconds * 1000,
  })
  const { status, headers, url, body } = response
  const { contentType, charset } = typeOf(headers['content-type'])
  if (status !== 200 && !(WALLS.has(status) && HTML.has(contentType))) throw refusedBy(response)
  const length = lengthOf(headers)
  return {
    asked: withoutUser(address),
    url,
    status,
    contentType,
    headers,
    body,
    ...(charset !== undefined && { charset }),
    ...(length !== undefined && { length }),
    [Symbol.asyncDispose]: async () => void body.on('error', () => {}).destroy(),
  }
}

export interface GetWish extends Wish, Pick<GetOptions, 'bodyBytes' | 'totalMs' | 'tooMuch'> {
  readonly accept: string
}

/**
 * One GET under the rules of a homeserver, whatever its status. The body has to be read to its end or destroyed.
 *
 * @throws as {@link fetchSource}
 */
export async function get(
  { clock, previewDoors, hostTurns }: PreviewFetchParts,
  rules: PreviewRules & { readonly userAgent: string },
  address: URL,
  { language, accept, signal, ...limits }: GetWish,
): Promise<DoorResponse> {
  const way = previewDoors.for(rules)
  let endTurn: (() => void) | undefined
  const before = async (url: URL, timeOver: AbortSignal) => {
    endTurn?.()
    const pattern = way.patternAgainst(url)
    if (pattern !== undefined)
      throw new NoPreview('url_disallowed', new Error(`urlPreviews.disallowedUrls has ${pattern}`))
    endTurn = await hostTurns.take(nameOf(url), timeOver)
    // By then the connection is gone, also if nobody has read or disposed of what came.
    timeOver.addEventListener('abort', endTurn, { once: true })
  }
  const headers = { accept, 'accept-encoding': CODINGS, 'accept-language': language, 'user-agent': rules.userAgent }
  const how = { redirects: REDIRECTS, idleMs: limits.totalMs, plainHttp: true, decode: true } as const
  try {
    const response = await way.door.get(withoutUser(address), { ...limits, ...how, headers, before, signal })
    response.body.once('close', () => endTurn?.())
    heedComeLater(hostTurns, response, clock.now())
    return response
  } catch (error) {
    endTurn?.()
    signal.throwIfAborted()
    throw asNoPreview(error)
  }
}

/**
 * The address that a client asks to preview.
 *
 * @throws Refused `bad_parameter` for what is no http(s) address
 */
export function pageAddress(text: string): URL {
  const url = URL.parse(text)
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new Refused('bad_parameter', 'url has to be an address that begins with http:// or https://')
  }
  return url
}

export interface PreviewSwitches {
  readonly enabled: boolean
  readonly maxPageSizeBytes: number
  readonly allowedNetworks: readonly string[]
}

/**
 * Whether a homeserver has previews at all. Without networks that are allowed (matrix-media-repo: "disabled if neither is supplied")
 * or a page to read there is nothing to be had.
 */
export function hasPreviews({ enabled, maxPageSizeBytes, allowedNetworks }: PreviewSwitches): boolean {
  return enabled && maxPageSizeBytes > 0 && allowedNetworks.length > 0
}

const LANGUAGE = /^[\w*,;=.\t -]{1,200}$/

/** What to send as `Accept-Language`: what the client wants, where that can be understood, else `urlPreviews.defaultLanguage`. */
export function languageFor(
  header: string | undefined,
  { defaultLanguage }: { readonly defaultLanguage: string },
): string {
  const wanted = header?.trim() ?? ''
  return LANGUAGE.test(wanted) ? wanted : defaultLanguage
}

/** Nobody's password is sent: a preview is what anybody would see, and is kept for everybody. */
function withoutUser(address: URL): URL {
  const url = new URL(address)
  url.username = ''
  url.password = ''
  url.hash = ''
  return url
}

function nameOf({ hostname }: URL): string {
  return hostname.replace(/\.+$/, '')
}

function heedComeLater(hostTurns: Pick<HostTurns, 'rest'>, { status, headers, url }: DoorResponse, now: number): void {
  if (!COME_LATER.has(status)) return
  const ms = retryAfterMs(headers['retry-after'], now) ?? (status === 429 ? REST_MS : 0)
  if (ms > 0) hostTurns.rest(nameOf(url), ms)
}

/** Nothing of its body is wanted. */
export function refusedBy({ status, url, body }: DoorResponse): NoPreview {
  body.on('error', () => {}).destroy()
  return new NoPreview('status', new Error(`${url.host} answers ${status}`))
}

const CHARSET = /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;"]+))/i

function typeOf(header: string | string[] | undefined): { readonly contentType: string; readonly charset?: string } {
  const [first = ''] = [header ?? ''].flat()
  const contentType = (first.split(';', 1)[0] ?? '').trim().toLowerCase()
  const [, quoted, bare] = CHARSET.exec(first) ?? []
  const charset = (quoted ?? bare)?.trim()
  return charset ? { contentType, charset } : { contentType }
}

/** Of what is sent compressed, the length is not that of the whole. */
function lengthOf(headers: DoorResponse['headers']): number | undefined {
  const { 'content-length': header, 'content-encoding': coding } = headers
  return typeof header === 'string' && /^\d+$/.test(header) && coding === undefined ? Number(header) : undefined
}
