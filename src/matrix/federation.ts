import type { SigningKey } from './keys/signing-key.ts'
import { Patience } from './patience.ts'
import { askLegacy, askSigned, Odd, type Question, type RequestParts } from './remote-requests.ts'
import { type FoundFile, remoteBody } from './remote-body.ts'
import { RemoteMediaError } from './remote-error.ts'
import { failureOf } from './remote-failure.ts'

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
  readonly body: RemoteBytes
}

/** To be read once. */
export interface RemoteBytes extends AsyncIterable<Uint8Array> {
  destroy(): void
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

export interface FederationClientParts extends RequestParts {
  /** The key with which a homeserver of ours signs. */
  readonly keyOf: (homeserver: string) => SigningKey | undefined
}

const LEGACY_VERSIONS = ['v3', 'r0']

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
      ...(key ? [() => askSigned(this.#parts, question, key)] : []),
      ...LEGACY_VERSIONS.map((version) => () => askLegacy(this.#parts, question, version)),
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
