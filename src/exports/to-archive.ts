import { createHash } from 'node:crypto'
import type { ArchivedMedia } from '../archives/manifest.ts'
import type { Archivable, OpenBytes } from '../archives/part.ts'
import type { ByteSource } from '../imports/bytes.ts'
import type { ImportedRecord, RecordSource } from '../imports/records.ts'
import { Refused } from '../lib/errors.ts'
import { formatMxc } from '../matrix/ids.ts'

export interface HomeserverMedia {
  readonly records: RecordSource
  readonly files: ByteSource
  readonly serverName: string
  /** Leaves out what has no file, or another one than its record says; else that ends the export. */
  readonly skipMissing: boolean
  /** Hears of each media that was looked at. */
  readonly onRecord: (record: ImportedRecord, problem: 'missing' | 'damaged' | 'quarantined' | undefined) => void
}

const BATCH = 500

/** A homeserver's own media, to be archived: what comes behind a place, in the order of its records. */
export function archivableMedia(parts: HomeserverMedia) {
  return async function* (from: string | undefined): AsyncGenerator<Archivable> {
    for (let after = from; ;) {
      const page = await parts.records.page(after, BATCH)
      const last = page.at(-1)
      if (!last) return
      for (const row of page) {
        // Archives are of one server: copies of others' are theirs to export.
        if ('record' in row && row.record.origin === parts.serverName) yield await archivable(parts, row.at, row.record)
      }
      after = last.at
    }
  }
}

async function archivable(parts: HomeserverMedia, at: string, record: ImportedRecord): Promise<Archivable> {
  const media = mediaOf(record)
  // An archive cannot say that something is quarantined: whoever brought it in would publish it.
  if (record.quarantinedBy !== null) {
    parts.onRecord(record, 'quarantined')
    return { at, media, leftOut: 'quarantined' }
  }
  const sha256 = record.sha256 ?? (await hashOf(parts, record))
  return { at, media: { ...media, sha256 }, open: () => open(parts, record) }
}

const mediaOf = ({ origin, mediaId, uploader, uploadName, ...record }: ImportedRecord): ArchivedMedia => ({
  origin,
  mediaId,
  uploader: uploader ?? '',
  name: uploadName ?? '',
  contentType: record.contentType,
  createdAt: record.createdAt,
  size: record.size,
  sha256: record.sha256 ?? '',
  s3Url: '',
})

async function open(parts: HomeserverMedia, record: ImportedRecord): Promise<OpenBytes | undefined> {
  const found = await parts.files.find(record)
  if (!found) return told(parts, record, 'missing')
  const { size = record.size } = found
  if (size !== record.size) told(parts, record, 'damaged')
  else parts.onRecord(record, undefined)
  return { size, read: () => found.read(), [Symbol.asyncDispose]: () => found[Symbol.asyncDispose]() }
}

function told(parts: HomeserverMedia, record: ImportedRecord, problem: 'missing' | 'damaged'): undefined {
  if (!parts.skipMissing) {
    const what = problem === 'missing' ? 'is missing' : `has not the ${record.size} bytes that its record says`
    throw new Refused('bad_request', `the file of ${formatMxc(record)} ${what}: -skipMissing leaves such media out`)
  }
  parts.onRecord(record, problem)
}

/** Synapse has not computed all of them. */
async function hashOf({ files }: HomeserverMedia, record: ImportedRecord): Promise<string> {
  await using found = await files.find(record)
  const hash = createHash('sha256')
  for await (const chunk of found?.read() ?? []) hash.update(chunk)
  return hash.digest('hex')
}
