import type { StagedFile, StageOptions } from './staging.ts'

/** What a datastore may be given to keep, in MMR's words (`forKinds`; `all` stands for every one). */
export type StoredKind = 'thumbnails' | 'remote_media' | 'local_media' | 'archives'

/** Bytes `start` to `end`, both included, counted from 0. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * A place that keeps objects. Objects never change once they are put, and locations are the datastore's own: callers keep
 * the text and give it back as it is.
 *
 * The contract, which `test/contract/datastore.ts` holds every implementation to:
 * - `put` is all or nothing, and durable when it resolves: what it stored survives a power cut, unless it is described as
 *   `remakeable`. Each put makes a location of its own, so deleting one object never touches another. It uses the staged file up.
 * - `open` throws `ObjectMissing` before anything was read when the object is not there.
 * - `delete` of something that is not there is fine.
 * - Other errors mean that the datastore cannot be used at the moment, and say nothing about the object.
 */
export interface Datastore extends AsyncDisposable {
  readonly id: string
  /** A place for administrators to recognise: a path, a bucket. */
  readonly uri: string
  readonly kinds: ReadonlySet<StoredKind>
  /** Receives bytes into a file of this datastore's own, to be put here. Others may read it meanwhile (`options.growing`). */
  stage(source: AsyncIterable<Uint8Array>, options: StageOptions): Promise<StagedFile>
  put(staged: StagedFile, described: ObjectDescription): Promise<string>
  /** Makes an object survive a power cut that was put as `remakeable`. Absent: all of them do. */
  settle?(location: string): Promise<void>
  /**
   * Makes an object of bytes that are somebody else's, without copying them: a hard link to a file on the same disk, or the very
   * object in the same bucket. Durable when it resolves, to its location; undefined where that cannot be done. The bytes must never change;
   * deleting the object leaves them to whose they are.
   */
  adopt?(bytes: ForeignBytes): Promise<string | undefined>
  /** `part` is what is going to be read, where that is known: a bucket then sends no more than it. It binds nobody. */
  open(location: string, part?: ByteRange): Promise<OpenObject>
  /** How many bytes the object has there now, or undefined when it is not there. */
  sizeOf(location: string): Promise<number | undefined>
  /** Where a local program can read the object, if the datastore is on this machine. Nobody may change that file. */
  localPath?(location: string): string
  /**
   * An address at which a client gets the object without us, or undefined where the datastore has none. Nothing is asked for it:
   * whether the object is there has to be known. Where it is there at all, so is `redirects`.
   */
  link?(location: string, presented: Presented): Promise<URL | undefined>
  /** Whom to send to links. Absent: nobody. */
  readonly redirects?: RedirectRules | undefined
  delete(location: string): Promise<void>
  /** Every object it keeps, in no order, whether or not a record names it. Objects put or deleted meanwhile may be missing. */
  list(options?: ListOptions): AsyncIterable<KeptObject>
  /** Whether listing what was put in the last days costs little, however much there is. */
  readonly listsRecentQuickly?: boolean
  /** Deletes what crashes left half received a day ago or longer; gives how many files that was. */
  sweepStaged?(): Promise<number>
  /** The server is ending: calls under way that may take long fail now, and later ones at once. */
  abort?(): void
  /** Throws what is wrong when objects cannot be read or written at the moment. */
  check(): Promise<void>
}

/** Whether everything in it can be made anew. One that takes nothing at all any more may hold anything. */
export function hasOnlyThumbnails({ kinds }: Pick<Datastore, 'kinds'>): boolean {
  return kinds.size === 1 && kinds.has('thumbnails')
}

/** Bytes that are somebody else's: a file of this machine, or the object `key` of the bucket that has this `uri`. */
export type ForeignBytes = { readonly path: string } | { readonly uri: string; readonly key: string }

/** What is known of an object when it is put, for datastores that others read as well. */
export interface ObjectDescription {
  /** The media type that its uploader, or what made it, gave it. Other names of the same object may have others. */
  readonly contentType: string
  /** It can be made anew at any time: nothing waits until it is on a disk. */
  readonly remakeable?: boolean
}

/** How a linked object is to be answered, so that it looks like our own answer. Datastores that cannot do so have no say. */
export interface Presented {
  /** `Content-Type`, as we would send it. */
  readonly contentType: string
  /** `Content-Disposition`, as we would send it. */
  readonly disposition: string
  /** `Cache-Control`, as we would send it. */
  readonly cacheControl?: string | undefined
  /** How long the link may be used, in ms; a minute if not given. Public addresses are for ever. */
  readonly validMs?: number | undefined
}

/** What the administrator decided about redirects to links. */
export interface RedirectRules {
  /** Also when the object is in a cache of ours, which would send it sooner. */
  readonly whenCached: boolean
  /** Other homeservers too: not all of them follow (Dendrite). */
  readonly federation: boolean
}

export interface ListOptions {
  /**
   * Objects put before (ms since 1970) may be left out, and files that it did not put itself: a datastore whose places tell
   * their day need not look at terabytes for what came this week.
   */
  readonly since?: number | undefined
}

/** What a datastore finds in itself. */
export interface KeptObject {
  readonly location: string
  /** Bytes. */
  readonly size: number
  /** When it was put, in ms since 1970, by the datastore's clock. */
  readonly putAt: number
}

/** An object that is there and can be read, once, in parts or as a whole. Dispose it when done, in whatever way. */
export interface OpenObject extends AsyncDisposable {
  readonly size: number
  /** The whole object, where it is in memory anyway. Nobody may change these bytes. */
  readonly bytes?: Buffer | undefined
  /** What makes the proxy in front of us send the object, where one is configured to (`offload`) and that is worth it. */
  readonly offload?: Offload | undefined
  /**
   * The bytes of `range` in order. A chunk is only valid until the next one is asked for: buffers are used again, so that a
   * large file costs two of them.
   */
  read(range: ByteRange): AsyncIterable<Uint8Array>
}

/** A header of our answer that the proxy in front of us takes away, and answers with the object instead. */
export interface Offload {
  readonly header: string
  readonly value: string
}

/** The object is not in the datastore: it was lost, or deleted meanwhile. */
export class ObjectMissing extends Error {
  override readonly name = 'ObjectMissing'

  constructor(datastore: string, location: string, options?: ErrorOptions) {
    super(`datastore ${datastore} has no object ${location}`, options)
  }
}
