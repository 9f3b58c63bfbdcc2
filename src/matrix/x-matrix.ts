import type { Buffer } from 'node:buffer'
import type { KeyObject } from 'node:crypto'
import { Refused } from '../lib/errors.ts'
import type { ServerCaller } from './caller.ts'
import { canonicalJson } from './canonical-json.ts'
import { isServerName } from './ids.ts'
import type { JsonObject } from './json.ts'
import type { RemoteKeys } from './keys/remote-keys.ts'
import { isSignature, type SigningKey, signObject } from './keys/signing-key.ts'
import { readXMatrix, UnclearHeader, writeXMatrix, type XMatrix } from './x-matrix-header.ts'

/** A request between servers, as its signature sees it. */
export interface SignedRequest {
  readonly method: string
  /** Path and query exactly as they are sent. */
  readonly uri: string
  /** Server names before any delegation. */
  readonly origin: string
  readonly destination: string
  /** The body, if there is one. */
  readonly content?: JsonObject | undefined
}

/** The value of the `Authorization` header for a request of ours (specification, "Request Authentication"). */
export function signRequest(request: SignedRequest, key: SigningKey): string {
  const { origin, destination } = request
  return writeXMatrix({ origin, destination, key: key.id, sig: signObject({ ...request }, key) })
}

/** A request that came in, as far as its sender's identity is concerned. */
export interface ReceivedRequest {
  readonly method: string
  /** The request target as it stood in the request line: what was decoded and encoded again has another signature. */
  readonly target: string
  /** As Node's `rawHeaders`. */
  readonly rawHeaders: readonly string[]
  /** The homeserver addressed: by the header's destination if it names one, else by Host. */
  readonly homeserver: string
  /** Aborts when the sender hangs up. */
  readonly signal?: AbortSignal | undefined
  /** Refuses servers that get nothing here, by throwing, before they are asked for their keys. */
  readonly refuseOrigin?: ((origin: string) => void) | undefined
  /** Called before another server is asked for keys because of this request; may throw to keep that from happening. */
  readonly beforeAsking?: (() => void) | undefined
}

export interface XMatrixParts {
  readonly remoteKeys: Pick<RemoteKeys, 'find'>
}

/** Each costs a look at a signature; nobody has more keys than this in use at a time. */
const MOST_HEADERS = 8
const MMR_WORDS = 'invalid auth provided (required)'

/**
 * Which server a request comes from, as its signature proves. Everything that costs nothing is checked first: whoever sends nonsense
 * makes us ask nobody for keys.
 *
 * With several headers (a server that changes its key), one signature has to be there by a key that its server lists, and all by
 * such keys have to be right.
 *
 * @throws {Refused} `server_unauthorized` with what is wrong, `server_keys_unavailable` when the sender's keys cannot be had; what the
 * request's own functions throw
 * @throws {CallerGone}
 */
export async function identifyServer(parts: XMatrixParts, request: ReceivedRequest): Promise<ServerCaller> {
  const headers = headersOf(request)
  const [{ origin, destination }] = headers
  if (destination !== undefined && !isSameServer(destination, request.homeserver)) {
    throw unauthorized(`no auth provided for this destination (required): it is for ${JSON.stringify(destination)}`)
  }
  request.refuseOrigin?.(origin)
  const keyIds = headers.map(({ keyId }) => keyId)
  const keys = await parts.remoteKeys.find(origin, keyIds, request)
  const listed = headers.flatMap((header) => {
    const key = keys.current.get(header.keyId)
    return key ? [{ header, key }] : []
  })
  if (listed.length === 0) throw unauthorized(`${MMR_WORDS}: ${unknownKeys(origin, keyIds, keys.old)}`)
  for (const { header, key } of listed) {
    if (isSignedWith(key, header, request)) continue
    throw unauthorized(
      `${MMR_WORDS}: the signature by ${header.keyId} of ${origin} is not for ${request.method} ${request.target} to ${request.homeserver}: was the address changed on the way?`,
    )
  }
  return { kind: 'server', origin }
}

/** The destination that the headers of a request name, if they do; only `identifyServer` tells whether they may be believed. */
export function destinationOf(rawHeaders: readonly string[]): string | undefined {
  return understood(rawHeaders)[0]?.destination
}

/** Server names are the same whatever their case; those of peers that differ by case only do not exist. */
export function isSameServer(one: string, other: string): boolean {
  return one === other || one.toLowerCase() === other.toLowerCase()
}

/** At least one, all by one server for one server. */
function headersOf(request: ReceivedRequest): readonly [XMatrix, ...XMatrix[]] {
  const [first, ...more] = understood(request.rawHeaders)
  if (!first) throw unauthorized('no auth provided (required): there is no Authorization header with X-Matrix')
  if (more.length >= MOST_HEADERS) throw unauthorized(`${MMR_WORDS}: more than ${MOST_HEADERS} X-Matrix headers`)
  if (!isServerName(first.origin)) throw unauthorized(`${MMR_WORDS}: the origin is no server name`)
  if (more.some(({ origin, destination }) => origin !== first.origin || destination !== first.destination)) {
    throw unauthorized(`${MMR_WORDS}: the X-Matrix headers differ in origin or destination`)
  }
  return [first, ...more]
}

function understood(rawHeaders: readonly string[]): readonly XMatrix[] {
  try {
    return readXMatrix(rawHeaders)
  } catch (error) {
    if (error instanceof UnclearHeader) throw unauthorized(`${MMR_WORDS}: ${error.message}`, error)
    throw error
  }
}

function isSignedWith(key: KeyObject, header: XMatrix, request: ReceivedRequest): boolean {
  for (const bytes of possiblySigned(header, request)) if (isSignature(bytes, header.signature, key)) return true
  return false
}

/**
 * What the sender may have signed, the likeliest first. A `?` with nothing behind it comes and goes on the way through proxies and
 * HTTP libraries. Senders that leave the destination out of the header sign it all the same (Synapse) or not.
 */
function* possiblySigned(header: XMatrix, { method, target, homeserver }: ReceivedRequest): Generator<Buffer> {
  const { origin, destination } = header
  for (const uri of [target, ...withOrWithoutMark(target)]) {
    yield canonicalJson({ method, uri, origin, destination: destination ?? homeserver })
    if (destination === undefined) yield canonicalJson({ method, uri, origin })
  }
}

function withOrWithoutMark(target: string): readonly string[] {
  const mark = target.indexOf('?')
  if (mark < 0) return [`${target}?`]
  return mark === target.length - 1 ? [target.slice(0, -1)] : []
}

function unknownKeys(origin: string, keyIds: readonly string[], old: ReadonlySet<string>): string {
  const names = keyIds.join(', ')
  const retired = keyIds.some((id) => old.has(id))
  return retired
    ? `${origin} lists ${names} among its old keys only, which sign no requests`
    : `${names} is not among the keys that ${origin} publishes`
}

function unauthorized(message: string, cause?: unknown): Refused {
  return new Refused('server_unauthorized', message, { cause })
}
