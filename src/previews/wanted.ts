import { createHash } from 'node:crypto'
import type { HomeserverConfig } from '../config/schema.ts'
import { hourOf, type PreviewKey } from '../db/previews.ts'
import { Refused } from '../lib/errors.ts'
import { pageAddress } from './fetch.ts'
import { languageOf } from './language.ts'

/** A request for a preview. */
export interface AskedPreview {
  /** As the client wrote it. */
  readonly url: string
  /** When the page is to be looked like, in ms since 1970; absent: now. */
  readonly ts?: number | undefined
  /** The client's `Accept-Language`. */
  readonly acceptLanguage?: string | undefined
}

/** Of what a preview is to be made. */
export interface WantedPreview {
  readonly homeserver: HomeserverConfig
  /** Without fragment, user and password. */
  readonly url: URL
  readonly key: PreviewKey
}

/** Longer ones are no addresses that somebody would send to others. */
const LONGEST_URL = 8000

/** The language and, for times of the past, the hour that is asked for. Now is not an hour but the state of things. */
export function askedFor(
  { urlPreviews }: Pick<HomeserverConfig, 'urlPreviews'>,
  { ts, acceptLanguage }: AskedPreview,
  now: number,
): { readonly language: string; readonly hour: number | undefined } {
  const language = languageOf(acceptLanguage, urlPreviews.defaultLanguage)
  const isPast = ts !== undefined && hourOf(ts) < hourOf(now)
  return { language, hour: isPast ? hourOf(ts) : undefined }
}

/** @throws Refused `bad_parameter` for what is no address of a page */
export function wantedOf(homeserver: HomeserverConfig, asked: string, language: string): WantedPreview {
  const url = addressOf(asked)
  return { homeserver, url, key: { homeserver: homeserver.name, urlHash: hashOf(url), language } }
}

/**
 * The address of a page as it is fetched: the fragment is for browsers, and credentials in it are not sent along.
 *
 * @throws Refused `bad_parameter`
 */
export function addressOf(asked: string): URL {
  if (asked.length > LONGEST_URL) throw new Refused('bad_parameter', `url may have ${LONGEST_URL} characters at most`)
  const url = pageAddress(asked)
  url.hash = ''
  url.username = ''
  url.password = ''
  return url
}

export const hashOf = (url: URL): string => createHash('sha256').update(url.href).digest('hex')
