import { asTheyCame } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import { mediaTypeOf } from '../lib/media-type.ts'
import { USER_AGENT } from './client.ts'
import type { Federation } from './federation-door.ts'
import type { RemoteWish } from './federation.ts'
import type { SigningKey } from './keys/signing-key.ts'
import { BadMultipart, boundaryOf, readMixed, sizeWithin } from './mixed.ts'
import type { OriginResponse } from './origins.ts'
import type { Patience } from './patience.ts'
import { meaningOf, readRefusal } from './remote-answer.ts'
import { bytesIn, checkEncoding, first, type FoundFile, plainFile } from './remote-body.ts'
import { RemoteMediaError } from './remote-error.ts'
import { failureOf } from './remote-failure.ts'
import { fileNameIn } from './remote-file-name.ts'
import { retryAfterMs } from './retry-after.ts'
import { signRequest } from './x-matrix.ts'

/** What it takes to ask another server for a file. */
export interface RequestParts {
  readonly clock: Clock
  readonly federation: Pick<Federation, 'origins' | 'door' | 'plainHttp'>
  /** Whether a server name is one of ours. */
  readonly isOurs: (serverName: string) => boolean
}

/** Which file is asked for, of whom, by whom, and for how long. */
export interface Question extends RemoteWish {
  /** Ours, for whose user it is. */
  readonly homeserver: string
  readonly origin: string
  readonly patience: Patience
}

/** An answer that no server gives which knows the endpoint: an older one may be known. Its reason counts if none is. */
export class Odd extends RemoteMediaError {}

/** Compressed bytes are not the file's. */
const HEADERS = { 'user-agent': USER_AGENT, 'accept-encoding': 'identity' }
const MOST_REDIRECTS = 5
const REDIRECTS = new Set([301, 302, 303, 307, 308])
/** Of an answer that says where the file is, what is read so that its connection can be used again. */
const REST_BYTES = 64 * 1024

/**
 * Asks the endpoint for servers (specification, "GET /_matrix/federation/v1/media/download/{mediaId}"), in a homeserver's name.
 *
 * @throws {Odd} when the server does not know it
 */
export async function askSigned(parts: RequestParts, question: Question, key: SigningKey): Promise<FoundFile> {
  const { homeserver, mediaId, origin } = question
  const uri = `/_matrix/federation/v1/media/download/${encodeURIComponent(mediaId)}?timeout_ms=${wait(question)}`
  const authorization = signRequest({ method: 'GET', uri, origin: homeserver, destination: origin }, key)
  const response = await get(parts, question, uri, { authorization })
  const from = `${origin}${uri}`
  if (response.status !== 200) throw await refusalIn(parts, response, from, true)
  return await inMixed(parts, response, question, from)
}

/** The file in a multipart answer, or where that says it is. */
async function inMixed(
  parts: RequestParts,
  response: OriginResponse,
  question: Question,
  from: string,
): Promise<FoundFile> {
  checkEncoding(response.headers, from)
  const type = first(response.headers['content-type']) ?? 'no type'
  const boundary = boundaryOf(type)
  if (boundary === undefined) {
    response.body.destroy()
    throw new Odd('broken', `${from} answered 200 with ${type}, not multipart/mixed with a boundary`)
  }
  const file = await readMixed(asTheyCame(response.body), boundary).catch((error: unknown) => {
    response.body.destroy()
    if (!(error instanceof BadMultipart)) throw error
    throw new Odd('broken', `${from}: ${error.message}`, { cause: error })
  })
  const location = file.headers.get('location')
  if (location) {
    void passOver(file.body)
    return await follow(parts, location, question, from)
  }
  const answerBytes = bytesIn(first(response.headers['content-length']))
  return {
    from,
    contentType: mediaTypeOf(file.headers.get('content-type')),
    fileName: fileNameIn(file.headers.get('content-disposition')),
    size: bytesIn(file.headers.get('content-length')),
    about: answerBytes === undefined ? undefined : sizeWithin(answerBytes, file, boundary),
    chunks: file.body,
  }
}

/**
 * Asks an endpoint from before that, which serves what its server gives to everybody. Redirects are followed.
 *
 * @throws {Odd} when the server does not know it
 */
export async function askLegacy(parts: RequestParts, question: Question, version: string): Promise<FoundFile> {
  return await askAt(parts, question, legacyPath(version, question))
}

async function askAt(
  parts: RequestParts,
  question: Question,
  path: string,
  redirects = MOST_REDIRECTS,
): Promise<FoundFile> {
  const response = await get(parts, question, path)
  const from = `${question.origin}${path}`
  if (response.status === 200) return plainFile(response, from)
  const location = first(response.headers['location'])
  if (!REDIRECTS.has(response.status) || !location) throw await refusalIn(parts, response, from, false)
  void passOver(response.body)
  if (URL.canParse(location)) return await follow(parts, location, question, from)
  const next = URL.parse(location, `https://origin.invalid${path}`)
  if (!next || next.host !== 'origin.invalid' || redirects === 0) {
    throw new RemoteMediaError('broken', `${from} redirects to ${JSON.stringify(location)}: no address, or too many`)
  }
  return await askAt(parts, question, next.pathname + next.search, redirects - 1)
}

/** Where a server says the file is. It knows nothing of us there, and is guarded like any address that strangers give. */
async function follow(parts: RequestParts, location: string, question: Question, sender: string): Promise<FoundFile> {
  const { door, plainHttp } = parts.federation
  const url = URL.parse(location)
  if (!url)
    throw new RemoteMediaError('broken', `${sender} says the file is at ${JSON.stringify(location)}: no address`)
  const from = `${url.origin}${url.pathname}, where ${sender} sends us,`
  if (parts.isOurs(url.host)) throw new RemoteMediaError('broken', `${from} is at this server: it would ask itself`)
  try {
    const response = await door.get(url, {
      headers: HEADERS,
      signal: question.signal,
      redirects: MOST_REDIRECTS,
      bodyBytes: question.maxBytes || Infinity,
      idleMs: question.idleMs,
      totalMs: question.patience.totalMs,
      plainHttp,
    })
    response.body.on('error', () => {})
    if (response.status === 200) return plainFile(response, from)
    response.body.destroy()
    throw new RemoteMediaError(response.status >= 500 ? 'failing' : 'broken', `${from} answered ${response.status}`)
  } catch (error) {
    throw failureOf(error, 'asking', from)
  }
}

async function get(
  parts: RequestParts,
  question: Question,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<OriginResponse> {
  const { idleMs, origin, signal } = question
  const response = await parts.federation.origins.request(origin, {
    method: 'GET',
    path,
    headers: { ...HEADERS, ...headers },
    signal,
    idleMs,
    headersMs: idleMs + wait(question),
  })
  // An answer that nobody reads any more may still break off.
  response.body.on('error', () => {})
  return response
}

async function refusalIn(
  parts: RequestParts,
  { status, headers, body }: OriginResponse,
  from: string,
  isSigned: boolean,
): Promise<RemoteMediaError> {
  const { errcode, text } = await readRefusal(body)
  const meaning = meaningOf(status, errcode, isSigned)
  const message = `${from} answered ${status} ${text}`
  if (meaning === 'older') return new Odd(status < 400 ? 'broken' : 'not_found', message)
  return new RemoteMediaError(meaning, message, {
    retryAfterMs: retryAfterMs(headers['retry-after'], parts.clock.now()),
  })
}

/** In whole ms, as it stands in the address. */
function wait({ timeoutMs }: RemoteWish): number {
  return Math.max(0, Math.round(timeoutMs))
}

/** `allow_remote=false` keeps servers from asking each other, or us, in a circle. */
function legacyPath(version: string, question: Question): string {
  const server = encodeURIComponent(question.origin).replaceAll('%3A', ':')
  const query = `allow_remote=false&allow_redirect=true&timeout_ms=${wait(question)}`
  return `/_matrix/media/${version}/download/${server}/${encodeURIComponent(question.mediaId)}?${query}`
}

/** Reads what is left of an answer, if that is little, and does not mind if it breaks off. */
async function passOver(body: AsyncIterable<Uint8Array>): Promise<void> {
  let size = 0
  try {
    for await (const chunk of body) {
      size += chunk.length
      if (size > REST_BYTES) return
    }
  } catch {
    // It has said where the file is, which is all that is wanted of it.
  }
}
