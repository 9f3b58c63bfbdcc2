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

/** When the hour began that is asked for, if it is one of the past. Now is not an hour but the state of things. */
export function pastHour({ ts }: AskedPreview, now: number): number | undefined {
  return ts !== undefined && hourOf(ts) < hourOf(now) ? hourOf(ts) : undefined
}

/** @throws Refused `bad_parameter` for what is no address of a page */
export function wantedOf(homeserver: HomeserverConfig, { url: asked, acceptLanguage }: AskedPreview): WantedPreview {
  const url = addressOf(asked)
  const language = languageOf(acceptLanguage, homeserver.urlPreviews.defaultLanguage)
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
