import { type ArchiveEntry, readEntries } from '../archives/read.ts'
import type { Datastore } from '../datastores/datastore.ts'
import type { ArchiveFile, ArchivePlan } from './archive-plan.ts'
import { readWhole } from './bucket-bytes.ts'
import type { ByteSource, FoundBytes } from './bytes.ts'

/**
 * The files in an archive. Records that come in the order of the archive are read in one pass; one that was passed already, such as the
 * second of two names with one file, is looked for from the beginning again. For one worker.
 */
export function archiveBytes({ index, files }: Pick<ArchivePlan, 'index' | 'files'>): ByteSource & AsyncDisposable {
  let open: OpenArchive | undefined
  return {
    name: 'the archive',
    async find(record) {
      const media = index.find(record)
      const file = files[media?.part ?? -1]
      if (!media || !file) return undefined
      for (const isFresh of [false, true]) {
        if (isFresh || open?.file !== file) {
          await open?.close()
          open = openArchive(file)
        }
        const entry = await open.next(media.fileName, media.size)
        if (entry) return foundIn(entry)
      }
      return undefined
    },
    async [Symbol.asyncDispose]() {
      await open?.close()
    },
  }
}

const foundIn = ({ size, bytes }: ArchiveEntry): FoundBytes => ({
  size,
  read: () => bytes,
  async [Symbol.asyncDispose]() {},
})

interface OpenArchive {
  readonly file: ArchiveFile
  /** The next entry of this name and size, in bytes; undefined: none comes any more. */
  next(name: string, size: number): Promise<ArchiveEntry | undefined>
  close(): Promise<void>
}

function openArchive(file: ArchiveFile): OpenArchive {
  // It was gone through as a whole before.
  const entries = readEntries(file.open(), { mayHold: Infinity })
  return {
    file,
    async next(name, size) {
      for (;;) {
        const { done, value } = await entries.next()
        if (done === true) return undefined
        if (value.name === name && value.size === size) return value
      }
    },
    close: async () => void (await entries.return(undefined)),
  }
}

type Bucket = Pick<Datastore, 'id' | 'uri' | 'open' | 'sizeOf'>

/**
 * Objects of our own buckets that an archive names by `s3_url`, for those whose bytes are not in it. Only with a hash, so that nobody
 * gets at other objects by writing a manifest; buckets that are not configured are nobody we talk to.
 */
export function s3UrlBytes({ index }: Pick<ArchivePlan, 'index'>, datastores: Iterable<Bucket>): ByteSource {
  const buckets = [...datastores].filter(({ uri }) => uri.startsWith('s3://'))
  return {
    name: 'the bucket of its s3_url',
    async find(record) {
      const media = index.find(record)
      if (!media?.sha256 || media.s3Url === '') return undefined
      const place = bucketAndKey(media.s3Url)
      const bucket = place && buckets.find(({ uri }) => uri === place.uri)
      if (!bucket) return undefined
      const size = await bucket.sizeOf(place.key)
      if (size === undefined) return undefined
      return { size, read: () => readWhole(bucket, place.key), async [Symbol.asyncDispose]() {} }
    },
  }
}

/** As datastores call a bucket: those of Amazon have one name each, whatever the endpoint is called. */
function bucketAndKey(s3Url: string): { readonly uri: string; readonly key: string } | undefined {
  const [, host = '', bucket = '', key = ''] = /^https?:\/\/([^/?#]+)\/([^/?#]+)\/([^?#]+)$/.exec(s3Url) ?? []
  if (key === '') return undefined
  const amazon = /\.amazonaws\.com(\.cn)?$/.exec(host)
  return { uri: `s3://${amazon ? `s3${amazon[0]}` : host}/${bucket}`, key }
}
