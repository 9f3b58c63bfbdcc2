import { PRIVATE_NETWORKS } from '../../src/config/networks.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { type Dial } from '../../src/lib/dial.ts'
import { PreviewDoors } from '../../src/previews/doors.ts'
import { type FetchingOptions, fetchSource, type PreviewFetchParts, type Wish } from '../../src/previews/fetch.ts'
import { HostTurns } from '../../src/previews/turns.ts'
import { type LogLine, recordingLog } from './log.ts'
import type { SmallInternet } from './small-internet.ts'

export type UrlPreviews = FetchingOptions['urlPreviews']

export interface PreviewFetching extends AsyncDisposable {
  readonly parts: PreviewFetchParts
  readonly doors: PreviewDoors
  readonly lines: readonly LogLine[]
  readonly options: (changes?: Partial<UrlPreviews>, seconds?: number) => FetchingOptions
  /** Fetches and reads a page. */
  readonly page: (
    url: string,
    changes?: Partial<UrlPreviews>,
    wish?: Partial<Wish> & { readonly seconds?: number },
  ) => Promise<Page>
}

export interface Page {
  readonly status: number
  readonly url: string
  readonly contentType: string
  readonly charset: string | undefined
  readonly length: number | undefined
  readonly text: string
}

export const USUAL: UrlPreviews = {
  allowedNetworks: ['0.0.0.0/0', '::/0'],
  disallowedNetworks: PRIVATE_NETWORKS,
  disallowedUrls: [],
  previewUnsafeCertificates: false,
  maxPageSizeBytes: 10_000,
  userAgent: 'Cellarium (test)',
}

function options(changes: Partial<UrlPreviews> = {}, seconds = 60): FetchingOptions {
  return { urlPreviews: { ...USUAL, ...changes }, timeouts: { urlPreviewTimeoutSeconds: seconds } }
}

/** What fetches pages for previews, in a small internet. */
export function openPreviewFetching(internet: SmallInternet, dial: Dial = internet.dial): PreviewFetching {
  const { log, lines } = recordingLog()
  const { clock, lookup, authority } = internet
  const events = { log, metrics: openMetrics({ version: 'test' }) }
  const authorities = [authority.certificate]
  const doors = new PreviewDoors({ events, clock, random: () => 0.5, environment: {}, dial, lookup, authorities })
  const parts = { clock, previewDoors: doors, hostTurns: new HostTurns(clock) }
  const page: PreviewFetching['page'] = async (url, changes, { seconds, ...wish } = {}) => {
    const usual = { language: 'en', signal: new AbortController().signal }
    await using source = await fetchSource(parts, options(changes, seconds), new URL(url), { ...usual, ...wish })
    const text = Buffer.concat(await source.body.toArray()).toString()
    const { status, contentType, charset, length } = source
    return { status, url: source.url.href, contentType, charset, length, text }
  }
  return { parts, doors, lines, options, page, [Symbol.asyncDispose]: () => doors[Symbol.asyncDispose]() }
}
