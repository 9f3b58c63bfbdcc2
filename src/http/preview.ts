import { Refused } from '../lib/errors.ts'
import { getPreview } from '../previews/get.ts'
import { type Answer, json } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'

/** Clients may show theirs for so long, in s: a purge does not reach them. */
const CLIENTS_KEEP_S = 300

/** `GET preview_url`: flat Open Graph. Source: specification, "Content repository". */
export async function previewUrl(parts: HttpParts, call: Call): Promise<Answer> {
  const url = call.query.get('url')
  if (url === null || url === '') throw new Refused('missing_parameter', 'url is needed: the address to preview')
  const ts = call.integer('ts', -1)
  const acceptLanguage = call.request.headers['accept-language']
  const asked = { url, ts: ts < 0 ? undefined : ts, acceptLanguage }
  const { preview, until } = await getPreview(parts, call, asked)
  const maxAge = Math.max(0, Math.min(CLIENTS_KEEP_S, Math.floor((until - parts.clock.now()) / 1000)))
  const headers = ['Cache-Control', `private, max-age=${maxAge}`, 'Vary', 'Accept-Language']
  return { ...json(preview), headers }
}
