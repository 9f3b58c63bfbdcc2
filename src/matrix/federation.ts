import type { Readable } from 'node:stream'
import type { Clock } from '../lib/clock.ts'
import { mediaTypeOf } from '../lib/media-type.ts'
import { USER_AGENT } from './client.ts'
import type { Federation } from './federation-door.ts'
import type { SigningKey } from './keys/signing-key.ts'
import { BadMultipart, boundaryOf, readMixed, sizeWithin } from './mixed.ts'
import type { OriginResponse } from './origins.ts'
import { Patience } from './patience.ts'
import { meaningOf, readRefusal } from './remote-answer.ts'
import { bytesIn, checkEncoding, first, type FoundFile, plainFile, remoteBody } from './remote-body.ts'
import { RemoteMediaError } from './remote-error.ts'
import { failureOf } from './remote-failure.ts'
import { fileNameIn } from './remote-file-name.ts'
import { retryAfterMs } from './retry-after.ts'
import { signRequest } from './x-matrix.ts'

/** A file as another server sends it. */
export interface RemoteBody {
  /** A media type; `application/octet-stream` where the server says none, or nonsense. */
  readonly contentType: string
  readonly fileName: string | null
  /** In bytes, where the server says so exactly. A body that turns out to be of another size ends with an error. */
  readonly size: number | undefined
  /** Between which sizes it must be, in bytes, where only the size of the envelope around it is known. A hint. */
  readonly about: { readonly atLeast: number; readonly atMost: number } | undefined
  /** Has to be read to its end or destroyed. Fails with `RemoteMediaError`, or with what the wish's signal was aborted with. */
  readonly body: Readable
}

/** Which file of a server, and how much patience there is. */
export interface RemoteWish {
  readonly mediaId: string
  /** How long the server may wait for a file that is announced and not there yet, in ms (`timeout_ms`). */
  readonly timeoutMs: number
  /** The largest file wanted; 0: no limit. */
  readonly maxBytes: number
  /** How long nothing may come, in ms: `timeouts.federationTimeoutSeconds`. */
  readonly idleMs: number
  /** Ends the fetch, also while its body is being read. */
  readonly signal: AbortSignal
}

export interface FederationClientParts {
  readonly clock: Clock
  readonly federation: Pick<Federation, 'origins' | 'door' | 'plainHttp'>
  /** The key with which a homeserver of ours signs. */
  readonly keyOf: (homeserver: string) => SigningKey | undefined
  /** Whether a server name is one of ours. */
  readonly isOurs: (serverName: string) => boolean
}

interface Question extends RemoteWish {
  readonly homeserver: string
  readonly origin: string
  readonly patience: Patience
}

/** An answer that no server gives which knows the endpoint: an older one may be known. What it is if none is. */
class Odd extends RemoteMediaError {}

/** Compressed bytes are not the file's. */
const HEADERS = { 'user-agent': USER_AGENT, 'accept-encoding': 'identity' }
const MOST_REDIRECTS = 5
const REDIRECTS = new Set([301, 302, 303, 307, 308])
const LEGACY_VERSIONS = ['v3', 'r0']
/** Of an answer that says where the file is, what is read so that its connection can be used again. */
const REST_BYTES = 64 * 1024

/** Gets files from the servers on which they were uploaded, and from no others. */
export class FederationClient {
  readonly #parts: FederationClientParts

  constructor(parts: FederationClientParts) {
    this.#parts = parts
  }

  /**
   * One file of a server: by the signed endpoint, else by the endpoints of before (specification 1.11, "Content repository"). Asks
   * once; nothing is kept.
   *
   * @param homeserver for whose user it is: its key signs
   * @param origin the server name in the MXC URI
   * @throws {RemoteMediaError}; when the wish's signal aborts, what it was aborted with
   */
  async fetch(homeserver: string, origin: string, wish: RemoteWish): Promise<RemoteBody> {
    if (this.#parts.isOurs(origin)) {
      throw new RemoteMediaError('not_found', `${origin} is a name of this server: there is nobody to ask`)
    }
    const patience = new Patience(wish.signal, wish.idleMs)
    try {
      const question = { ...wish, signal: patience.signal, homeserver, origin, patience }
      const found = await patience.wait(this.#ask(question))
      return remoteBody(found, wish, patience)
    } catch (error) {
      patience.end()
      if (wish.signal.aborted) throw wish.signal.reason
      throw failureOf(error, 'asking', `${origin} was asked for ${wish.mediaId}`)
    }
  }

  /** The endpoints one after the other, the newest first. */
  async #ask(question: Question): Promise<FoundFile> {
    const key = this.#parts.keyOf(question.homeserver)
    const attempts = [
      ...(key ? [() => this.#askSigned(question, key)] : []),
      ...LEGACY_VERSIONS.map((version) => () => this.#askLegacy(question, legacyPath(version, question))),
    ]
    const odd: Odd[] = []
    for (const attempt of attempts) {
      try {
        return await attempt()
      } catch (error) {
        if (!(error instanceof Odd)) throw verdict(error, odd, question, key)
        odd.push(error)
      }
    }
    throw verdict(odd.pop(), odd, question, key)
  }

  async #askSigned(question: Question, key: SigningKey): Promise<FoundFile> {
    const { homeserver, mediaId, origin } = question
    const uri = `/_matrix/federation/v1/media/download/${encodeURIComponent(mediaId)}?timeout_ms=${wait(question)}`
    const authorization = signRequest({ method: 'GET', uri, origin: homeserver, destination: origin }, key)
    const response = await this.#get(question, uri, { authorization })
    const from = `${origin}${uri}`
    if (response.status !== 200) throw await this.#refusal(response, from, true)
    return await this.#inMixed(response, question, from)
  }

  /** The file in a multipart answer, or where that says it is. */
  async #inMixed(response: OriginResponse, question: Question, from: string): Promise<FoundFile> {
    checkEncoding(response.headers, from)
    const type = first(response.headers['content-type']) ?? 'no type'
    const boundary = boundaryOf(type)
    if (boundary === undefined) {
      response.body.destroy()
      throw new Odd('broken', `${from} answered 200 with ${type}, not multipart/mixed with a boundary`)
    }
    const file = await readMixed(response.body, boundary).catch((error: unknown) => {
      response.body.destroy()
      if (!(error instanceof BadMultipart)) throw error
      throw new Odd('broken', `${from}: ${error.message}`, { cause: error })
    })
    const location = file.headers.get('location')
    if (location) {
      void passOver(file.body)
      return await this.#follow(location, question, from)
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

  async #askLegacy(question: Question, path: string, redirects = MOST_REDIRECTS): Promise<FoundFile> {
    const response = await this.#get(question, path)
    const from = `${question.origin}${path}`
    if (response.status === 200) return plainFile(response, from)
    const location = first(response.headers['location'])
    if (!REDIRECTS.has(response.status) || !location) throw await this.#refusal(response, from, false)
    void passOver(response.body)
    if (URL.canParse(location)) return await this.#follow(location, question, from)
    const next = URL.parse(location, `https://origin.invalid${path}`)
    if (!next || next.host !== 'origin.invalid' || redirects === 0) {
      throw new RemoteMediaError('broken', `${from} redirects to ${JSON.stringify(location)}: no address, or too many`)
    }
    return await this.#askLegacy(question, next.pathname + next.search, redirects - 1)
  }

  /** Where a server says the file is. It knows nothing of us there, and is guarded like any address that strangers give. */
  async #follow(location: string, question: Question, sender: string): Promise<FoundFile> {
    const { door, plainHttp } = this.#parts.federation
    const url = URL.parse(location)
    if (!url)
      throw new RemoteMediaError('broken', `${sender} says the file is at ${JSON.stringify(location)}: no address`)
    const from = `${url.origin}${url.pathname}, where ${sender} sends us,`
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

  async #get(
    question: Question,
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<OriginResponse> {
    const { idleMs, origin, signal } = question
    const response = await this.#parts.federation.origins.request(origin, {
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

  async #refusal(
    { status, headers, body }: OriginResponse,
    from: string,
    isSigned: boolean,
  ): Promise<RemoteMediaError> {
    const { errcode, text } = await readRefusal(body)
    const meaning = meaningOf(status, errcode, isSigned)
    const message = `${from} answered ${status} ${text}`
    if (meaning === 'older') return new Odd(status < 400 ? 'broken' : 'not_found', message)
    return new RemoteMediaError(meaning, message, {
      retryAfterMs: retryAfterMs(headers['retry-after'], this.#parts.clock.now()),
    })
  }
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

/** What to make of the last answer, in the light of those before it. */
function verdict(last: unknown, before: readonly Odd[], question: Question, key: SigningKey | undefined): unknown {
  if (!(last instanceof RemoteMediaError)) return last
  const { cause, message, reason, retryAfterMs } = last
  if (!key && (reason === 'not_found' || reason === 'refused')) {
    const why = `${question.homeserver} has no signing key (signingKeyPath), and gets only what everybody gets`
    return new RemoteMediaError('no_key', `${why}: ${message}`, { cause: last })
  }
  // A server that has the file and makes a mess of sending it has not said that there is none.
  const mess = reason === 'not_found' ? before.find((odd) => odd.reason === 'broken') : undefined
  const history = before.length === 0 ? '' : `, after ${before.map((odd) => odd.message).join(', ')}`
  return new RemoteMediaError(mess?.reason ?? reason, `${message}${history}`, { cause, retryAfterMs })
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
