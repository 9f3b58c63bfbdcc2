import { isIP } from 'node:net'
import type { Dispatcher } from 'undici'
import { Refused } from '../lib/errors.ts'
import type { HomeserverOptions } from './options.ts'
import { retryAfterMs } from './retry-after.ts'

const LARGEST_ANSWER = 1024 * 1024
const FORM = 'application/x-www-form-urlencoded'
/** How we name ourselves to homeservers, and recognise ourselves when `csApi` leads back here. */
export const USER_AGENT = 'Cellarium'

/** A request to a homeserver. */
export interface Call {
  readonly method: 'GET' | 'POST'
  /** The path below `csApi`, with a leading slash. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly token?: string
  /** The IP address of the client on whose behalf the request is made; left out if it is none. */
  readonly address?: string | undefined
  /** How many bytes the answer may have; 1 MiB if not given. */
  readonly mostBytes?: number
  /** Not the homeserver itself is asked, but a server that it trusts: there, with this login and these fields of a form. */
  readonly elsewhere?: {
    readonly url: string
    readonly authorization: string
    readonly form: Readonly<Record<string, string>>
  }
}

/** What a homeserver answered: yes (2xx) or no (4xx). */
export interface Answer {
  readonly status: number
  /** The JSON object in the answer; undefined if a refusal came without one. */
  readonly body: JsonObject | undefined
  /** How long the homeserver asks to wait, in ms. */
  readonly retryAfterMs: number | undefined
}

export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Sends a request to a homeserver, within `timeouts.clientServerTimeoutSeconds` from first to last byte (0: undici's
 * own 5 minutes). Redirects are not
 * followed, so that a token goes nowhere but to `csApi`.
 *
 * @throws {Error} when it gave no usable answer: no connection, too late, 5xx, a redirect, a success that is not JSON. The
 * message names the address, for the log.
 */
export async function callHomeserver(
  parts: { readonly dispatcher: Dispatcher; readonly now: number },
  homeserver: Pick<HomeserverOptions, 'csApi' | 'timeouts'>,
  call: Call,
): Promise<Answer> {
  const url = call.elsewhere?.url ?? addressOf(homeserver.csApi, call)
  const timeoutMs = Math.ceil(homeserver.timeouts.clientServerTimeoutSeconds * 1000)
  try {
    const response = await (
      await import('undici')
    ).request(url, {
      method: call.method,
      dispatcher: parts.dispatcher,
      signal: timeoutMs > 0 ? AbortSignal.timeout(timeoutMs) : null,
      headers: headersOf(call),
      ...(call.method === 'POST' && { body: bodyOf(call) }),
    })
    const body = jsonObject(await readText(response.body, call.mostBytes ?? LARGEST_ANSWER))
    const refused = response.statusCode >= 400 && response.statusCode < 500
    if (!refused && (response.statusCode < 200 || response.statusCode > 299)) throw unusable(response.statusCode, body)
    if (!refused && !body) throw new Error(`answered ${response.statusCode} without a JSON object`)
    return {
      status: response.statusCode,
      body,
      retryAfterMs: retryAfter(response.headers['retry-after'], body, parts.now),
    }
  } catch (cause) {
    throw new Error(`${call.method} ${url}: ${messageOf(cause)}`, { cause })
  }
}

/**
 * What a caller is told when the homeserver cannot answer for it. The address stays in the cause, for the log: callers have
 * no business with it.
 */
export function unavailable(
  homeserver: Pick<HomeserverOptions, 'name'>,
  what: string,
  options: { readonly cause?: unknown; readonly retryAfterMs?: number | undefined } = {},
): Refused {
  const { cause, retryAfterMs } = options
  const message = `The homeserver of ${homeserver.name} ${what}`
  return new Refused('homeserver_unavailable', message, { cause, ...(retryAfterMs !== undefined && { retryAfterMs }) })
}

/** The Matrix error code in an answer. */
export function errcodeOf(answer: Answer): string | undefined {
  const errcode = answer.body?.['errcode']
  return typeof errcode === 'string' ? errcode : undefined
}

function addressOf(csApi: string, call: Call): string {
  const query = new URLSearchParams()
  for (const [key, value] of Object.entries(call.query ?? {})) if (value !== undefined) query.set(key, value)
  const search = query.size > 0 ? `?${query.toString()}` : ''
  return `${csApi.replace(/\/+$/, '')}${call.path}${search}`
}

function bodyOf({ elsewhere }: Call): string {
  return elsewhere ? new URLSearchParams(elsewhere.form).toString() : '{}'
}

function headersOf(call: Call): Record<string, string> {
  return {
    accept: 'application/json',
    'user-agent': USER_AGENT,
    ...(call.method === 'POST' && { 'content-type': call.elsewhere ? FORM : 'application/json' }),
    ...(call.elsewhere && { authorization: call.elsewhere.authorization }),
    ...(call.token !== undefined && { authorization: `Bearer ${call.token}` }),
    ...(isIP(call.address ?? '') > 0 && { 'x-forwarded-for': call.address, 'x-real-ip': call.address }),
  }
}

async function readText(body: AsyncIterable<Uint8Array>, most: number): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > most) throw new Error(`answered with more than ${most} bytes`)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

/** The object that a text is in JSON. What is none needs no report of its own: the caller says what it was needed for. */
function jsonObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function unusable(status: number, body: JsonObject | undefined): Error {
  return new Error(`answered ${status} ${JSON.stringify(body ?? '').slice(0, 200)}`)
}

/** `Retry-After`, else Matrix' older `retry_after_ms`. */
function retryAfter(
  header: string | string[] | undefined,
  body: JsonObject | undefined,
  now: number,
): number | undefined {
  const inBody = body?.['retry_after_ms']
  const bodyMs = typeof inBody === 'number' && Number.isFinite(inBody) ? Math.max(0, inBody) : undefined
  return retryAfterMs(header, now) ?? bodyMs
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
