/** The rows of the table, in its order, with what is aimed for. */
import { animation, drawing, photo } from './pictures.ts'
import type { Connections } from './remote.ts'
import { type Aim, KIB, MIB, type Row } from './row.ts'
import { busyDownload } from './rows/busy.ts'
import { coldStart } from './rows/cold-start.ts'
import { config } from './rows/config.ts'
import { download } from './rows/download.ts'
import { fetchMemory, firstByte, remoteFetch, sharedFetch } from './rows/fetch.ts'
import { idleMemory, slowDownloadMemory, thumbnailMemory, uploadMemory } from './rows/memory.ts'
import { cachedPreview, firstPreview, largePreview } from './rows/preview.ts'
import { cachedThumbnail, generatedThumbnail } from './rows/thumbnail.ts'
import { reads, writes } from './records/queries.ts'
import { records } from './rows/records.ts'
import { firstByteOfSynapse } from './rows/synapse.ts'
import { quarantineUser } from './rows/quarantine.ts'
import { s3Download, s3Upload } from './rows/s3.ts'
import { knownUpload, upload } from './rows/upload.ts'
import { xMatrix } from './rows/x-matrix.ts'

const ratio = (least: number): Aim => ({
  text: `ratio ≥ ${Number(least.toFixed(3))}`,
  isReached: (result) => (result.ratio ?? 0) >= least,
})
const ratioBelow = (most: number): Aim => ({
  text: `ratio ≤ ${most}`,
  isReached: (result) => (result.ratio ?? Infinity) <= most,
})
const atLeast = (limit: number, unit: string): Aim => ({
  text: `≥ ${limit} ${unit}`,
  isReached: ({ value }) => value >= limit,
})
const below = (limit: number, unit: string): Aim => ({
  text: `< ${limit} ${unit}`,
  isReached: ({ value }) => value < limit,
})

/** 1,200 uploads a second where SQLite alone commits 4,500 times. */
const COMMITS = ratio(1200 / 4500)
/** Kept ones a second, 16 at a time, measured of matrix-media-repo 1.3.7. */
const MMR_PREVIEWS = 3400
const HASHING = ratio(0.35)
const BESIDE_SDK = ratio(0.8)
const FLAT = below(64, 'MiB')
const BESIDE_UNDICI = ratio(0.5)
const NEAR_ORIGIN = ratioBelow(1.5)
const UNNOTICED: Aim = {
  text: '< 30 s, ratio < 2',
  isReached: ({ value, ratio = Infinity }) => value < 30 && ratio < 2,
}
const ONCE: Aim = { text: 'once', isReached: ({ highest }) => highest === 1 }

export const rows: readonly Row[] = [
  config({ name: 'config' }),
  download({ name: 'download-1k', bytes: KIB, files: 1, aim: ratio(0.25) }),
  download({ name: 'download-100k', bytes: 100 * KIB, files: 1, aim: ratio(0.35) }),
  download({ name: 'download-1k-random', bytes: KIB, files: 1000, aim: ratio(0.1) }),
  download({ name: 'download-100k-random', bytes: 100 * KIB, files: 1000, aim: ratio(0.14) }),
  download({ name: 'download-10m', bytes: 10 * MIB, files: 1, aim: ratio(0.8) }),
  upload({ name: 'upload-1k', bytes: KIB, connections: 16, against: 'commits', aim: COMMITS }),
  upload({ name: 'upload-100k', bytes: 100 * KIB, connections: 16, against: 'sha256' }),
  upload({ name: 'upload-10m', bytes: 10 * MIB, connections: 16, against: 'sha256', aim: HASHING }),
  upload({ name: 'upload-100m', bytes: 100 * MIB, connections: 4, against: 'sha256', aim: HASHING }),
  knownUpload({ name: 'dedupe-10m', bytes: 10 * MIB, connections: 16, aim: atLeast(400, 'MB/s') }),
  s3Upload({ name: 's3-upload-10m', bytes: 10 * MIB, connections: 4, aim: BESIDE_SDK }),
  s3Upload({ name: 's3-upload-100m', bytes: 100 * MIB, connections: 2, aim: BESIDE_SDK }),
  s3Download({ name: 's3-download-10m', bytes: 10 * MIB, connections: 4, aim: BESIDE_SDK }),
  s3Download({ name: 's3-download-100m', bytes: 100 * MIB, connections: 2, aim: BESIDE_SDK }),
  remoteFetch({ name: 'fetch-10m', bytes: 10 * MIB, connections: 4, aim: BESIDE_UNDICI }),
  remoteFetch({ name: 'fetch-100m', bytes: 100 * MIB, connections: 2, aim: BESIDE_UNDICI }),
  ...(['plain', 'kept', 'new'] as const).flatMap(firstBytes),
  firstByteOfSynapse({ name: 'first-byte-10m-synapse', bytes: 10 * MIB, files: 10, aim: NEAR_ORIGIN }),
  firstByteOfSynapse({ name: 'first-byte-100m-synapse', bytes: 100 * MIB, files: 3, aim: NEAR_ORIGIN }),
  sharedFetch({ name: 'fetch-shared', bytes: 10 * MIB, askers: 200, aim: ONCE }),
  cachedThumbnail({ name: 'thumbnail-cached', aim: ratio(0.95) }),
  ...[1, 4].flatMap((clients) => firstThumbnails(clients)),
  cachedPreview({ name: 'preview-cached', bytes: 100 * KIB, aim: atLeast(3 * MMR_PREVIEWS, 'requests/s') }),
  firstPreview({ name: 'preview-first', bytes: 100 * KIB, aim: atLeast(300, 'requests/s') }),
  largePreview({ name: 'preview-large', bytes: 10 * MIB, aim: below(1000, 'ms') }),
  busyDownload({ name: 'download-100k-busy', aim: ratioBelow(4) }),
  xMatrix({ name: 'x-matrix', aim: atLeast(5000, 'requests/s') }),
  coldStart({ name: 'cold-start', aim: below(2000, 'ms') }),
  idleMemory({ name: 'memory-idle', aim: below(110, 'MiB') }),
  uploadMemory({ name: 'memory-upload', bytes: 100 * MIB, connections: 16, store: 'folder', aim: FLAT }),
  uploadMemory({ name: 'memory-upload-s3', bytes: 100 * MIB, connections: 16, store: 'bucket', aim: FLAT }),
  slowDownloadMemory({ name: 'memory-download', bytes: 1024 * MIB, readers: 16, store: 'folder', aim: FLAT }),
  slowDownloadMemory({ name: 'memory-download-s3', bytes: 1024 * MIB, readers: 16, store: 'bucket', aim: FLAT }),
  fetchMemory({ name: 'memory-fetch', bytes: 100 * MIB, connections: 16, readers: 'quick', aim: FLAT }),
  fetchMemory({ name: 'memory-fetch-slow', bytes: 100 * MIB, connections: 16, readers: 'slow', aim: FLAT }),
  quarantineUser({ name: 'quarantine-user-100k', engine: 'sqlite', uploads: 100_000, aim: UNNOTICED }),
  quarantineUser({ name: 'quarantine-user-100k-postgres', engine: 'postgres', uploads: 100_000, aim: UNNOTICED }),
  thumbnailMemory({ name: 'memory-thumbnails', clients: 16, aim: below(300, 'MiB') }),
  ...(['sqlite', 'postgres'] as const).flatMap((engine) =>
    [...reads, ...writes].map((query) => records({ engine, query, aim: ratioBelow(1.5) })),
  ),
]

/** Servers speak TLS only; without it one sees best what Cellarium adds. */
function firstBytes(over: Connections): readonly Row[] {
  const more = { plain: '', kept: '-tls', new: '-tls-new' }[over]
  return [10, 100].map((size) =>
    firstByte({ name: `first-byte-${size}m${more}`, bytes: size * MIB, over, aim: NEAR_ORIGIN }),
  )
}

/** Thumbnails that nobody has asked for before. */
function firstThumbnails(clients: number): readonly Row[] {
  const scale = { width: 320, height: 240, method: 'scale' } as const
  const crop = { width: 96, height: 96, method: 'crop' } as const
  const more = clients === 1 ? '' : `-${clients}`
  const common = { aim: ratio(0.8), clients }
  return [
    generatedThumbnail({ ...common, name: `thumbnail-jpeg${more}`, picture: photo, wanted: scale, perSecond: 20 }),
    generatedThumbnail({ ...common, name: `thumbnail-jpeg-crop${more}`, picture: photo, wanted: crop, perSecond: 20 }),
    generatedThumbnail({ ...common, name: `thumbnail-png${more}`, picture: drawing, wanted: scale, perSecond: 15 }),
    generatedThumbnail({ ...common, name: `thumbnail-gif${more}`, picture: animation, wanted: scale, perSecond: 2 }),
  ]
}
