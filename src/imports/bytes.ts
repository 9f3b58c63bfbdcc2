import type { ForeignBytes } from '../datastores/datastore.ts'
import type { ImportedRecord } from './records.ts'

/** A file that was found. Dispose it when done, in whatever way. */
export interface FoundBytes extends AsyncDisposable {
  /** Bytes, as far as that is known before they are read. */
  readonly size: number | undefined
  /** How a datastore can have them without a copy, where there is a way. */
  readonly foreign?: ForeignBytes | undefined
  /** All of it, from its beginning. Once only, unless there is `foreign`. */
  read(): AsyncIterable<Uint8Array>
}

/** A place that may have a homeserver's files. */
export interface ByteSource {
  /** Looking there costs no more than a look at a disk, so that many may look at once. */
  readonly isLocal?: true
  /** For reports: `the folder /media_store`. */
  readonly name: string
  /** What it sends may break off on the way, and be whole when it is asked again. */
  readonly mayBreakOff?: true
  /** Undefined: it does not have this one. Throws when it cannot be asked at all, such as a bucket that is away. */
  find(record: ImportedRecord): Promise<FoundBytes | undefined>
  /** What in a datastore with this address is the homeserver's: the beginnings of keys. */
  foreignPrefixes?(uri: string): readonly string[]
}
