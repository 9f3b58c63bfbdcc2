import type { MediaName } from '../db/quarantine-changes.ts'

/** A file on its way to a homeserver, and what is known of it. Times in ms since 1970. */
export interface OutgoingRecord extends MediaName {
  readonly contentType: string
  readonly uploadName: string | null
  /** Null: another server's, or nobody knows. */
  readonly uploader: string | null
  readonly createdAt: number
  readonly accessedAt: number | null
  /** Only authenticated callers may have it. */
  readonly authenticated: boolean
  /** Null: it is not. */
  readonly quarantinedBy: string | null
  readonly isProtected: boolean
  /** Bytes. */
  readonly size: number
  /** Lower-case hex; empty: an old archive does not tell, and has not been read. */
  readonly sha256: string
  /** Absent: there are no bytes any more, only the word that nobody may have them. */
  readonly bytes?: OutgoingBytes
}

/** Where a file is now. */
export interface OutgoingBytes {
  /** Where a local program can read it, if it is on this machine, and stays as it is there. */
  readonly path?: string | undefined
  /** All of it, from its beginning. A chunk is only valid until the next one is asked for. Throws `ObjectMissing` where it is lost. */
  read(): AsyncIterable<Uint8Array>
  /** Whether it is there, with how many bytes. Undefined: it is lost. */
  size(): Promise<number | undefined>
}

/** Why something does not go there: it is a picture of a preview, another homeserver's of ours, or of other servers, which are not wanted. */
export type Passed = 'preview' | 'ours' | 'remote'

/** `at` is where the row is: what comes behind it comes later. */
export type OutgoingRow = { readonly at: MediaName } & (
  | { readonly record: OutgoingRecord }
  | { readonly passed: Passed }
  /** It was deleted here; what is there under its name stays there. */
  | { readonly deleted: MediaName }
)

/** What is to go to a homeserver, in an order that stays the same. */
export interface OutgoingSource {
  readonly name: string
  /** How many rows there are, now. */
  count(): Promise<number>
  /** All of them, some hundred at a time. */
  pages(): AsyncIterable<readonly OutgoingRow[]>
}
