import type { ByteRange, OpenObject, Presented } from '../datastores/datastore.ts'
import type { GrowingReader } from '../datastores/growing-file.ts'

/** A JSON body, such as every endpoint but the media themselves answers. */
export interface JsonAnswer {
  readonly kind: 'json'
  readonly status: number
  readonly body: unknown
  /** Further headers, name and value in turn. */
  readonly headers?: readonly string[]
}

/** A file: some stored media, a thumbnail, or a small picture made on the spot. */
export interface FileAnswer {
  readonly kind: 'file'
  readonly size: number
  /** What makes two answers the same file, for `ETag`: the SHA-256 of stored objects. */
  readonly tag: string
  readonly contentType: string
  /** `inline` or `attachment`; with the name too where `fileName` is null. */
  readonly disposition: string
  readonly fileName: string | null
  /** The request header, if any, on which it depends which file this is. */
  readonly vary?: 'Accept'
  /** How long it may be kept; for three days, as what never changes, if not given. */
  readonly cacheControl?: string
  /**
   * To be asked right before anything of the file is told, and again after each wait: rejects when the caller may not have it any more.
   * Undefined, at once, while nothing has changed.
   */
  readonly mayStill?: () => Promise<void> | undefined
  /** Where the client gets the same without us, if it may be sent there. Asked once, and only if bytes are to be sent. */
  readonly link?: (present: () => Presented) => Promise<URL | undefined> | undefined
  /** The whole file, if it is in memory; asked once, and only if some of it is to be sent. */
  readonly atHand?: () => Buffer | undefined
  /** Opens the bytes; called once, and only if some are to be sent: those of `part`, if it is given. */
  readonly open: (part?: ByteRange) => Promise<OpenObject>
  /** Bytes to send at most for a range without an end; 0: no limit. */
  readonly openRangeBytes: number
}

/** A file that is still on its way to us: sent as it comes. */
export interface GrowingAnswer extends Pick<FileAnswer, 'contentType' | 'disposition' | 'fileName' | 'openRangeBytes'> {
  readonly kind: 'growing'
  /** Disposed of when the answer is sent, in whatever way. */
  readonly reader: GrowingReader
  /** The same file once it is stored; asked for, once, by requests that cannot be answered sooner. */
  readonly stored: () => Promise<FileAnswer>
}

/** A file for another homeserver, with its bytes or where they are in the second of two parts. Source: MSC3916. */
export interface MixedAnswer {
  readonly kind: 'mixed'
  readonly file: FileAnswer
  /** What separates the parts: letters and digits that nobody can foresee, so that no file has them in it. */
  readonly boundary: string
  /** Rejects with `limited` where who asks may not have so many bytes now. Called once, and only if the bytes are to be sent from here. */
  readonly admit: (bytes: number) => Promise<void>
}

/** A page for people. */
export interface PageAnswer {
  readonly kind: 'page'
  /** 200, if not given. */
  readonly status?: number
  readonly html: string
  /** Its `Content-Security-Policy`, in place of that which all other answers have. */
  readonly policy: string
  /** Further headers, name and value in turn. */
  readonly headers?: readonly string[]
}

export type Answer = JsonAnswer | PageAnswer | FileAnswer | GrowingAnswer | MixedAnswer

export const json = (body: unknown, status = 200): JsonAnswer => ({ kind: 'json', status, body })

/** Bytes that are in memory anyway, in the shape of an opened object. */
export function openBuffer(bytes: Uint8Array): OpenObject {
  return {
    size: bytes.length,
    async *read({ start, end }: ByteRange) {
      yield bytes.subarray(start, end + 1)
    },
    async [Symbol.asyncDispose]() {},
  }
}
