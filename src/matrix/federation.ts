import type { Readable } from 'node:stream'

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
