import { z } from 'zod'
import { Refused } from '../lib/errors.ts'
import { formatMxc, isMediaId, isServerName, type Mxc } from '../matrix/ids.ts'

/** What an archive says of one media. */
export interface ArchivedMedia extends Mxc {
  /** Empty: nobody is known. */
  readonly uploader: string
  /** The name that its uploader gave it; empty: none. */
  readonly name: string
  readonly contentType: string
  /** ms since 1970. */
  readonly createdAt: number
  /** Bytes. */
  readonly size: number
  /** Lower-case hex. */
  readonly sha256: string
  /** Where it was in a bucket, `https://<endpoint>/<bucket>/<key>`; empty: in none. */
  readonly s3Url: string
}

/** A media and the file that has its bytes. */
export interface ArchivedFile extends ArchivedMedia {
  /** Its name in one of the parts. */
  readonly fileName: string
}

export interface Manifest {
  /** A user id or a server name: whose media they are. */
  readonly entity: string
  /** ms since 1970. */
  readonly createdAt: number
  readonly media: readonly ManifestMedia[]
}

/** As read: an old archive may not know hashes. */
export type ManifestMedia = Omit<ArchivedFile, 'sha256'> & { readonly sha256: string | undefined }

export const MANIFEST_ENTRY = 'manifest.json'
/** An archive of this many media would need more memory than is sensible to read; export in several. */
const MOST_MEDIA = 1_000_000
const VERSION = 2

/** The beginning of `manifest.json`, its members (`manifestMember`, with commas between them), and its end. */
export const manifestHead = (entity: string, createdAt: number): string =>
  `{"version":${VERSION},"entity_id":${JSON.stringify(entity)},"created_ts":${createdAt},"media":{`
export const MANIFEST_TAIL = '}}\n'

export function manifestMember(media: ArchivedFile): string {
  const record = {
    name: media.name,
    file_name: media.fileName,
    size_bytes: media.size,
    content_type: media.contentType,
    s3_url: media.s3Url,
    sha256: media.sha256,
    origin: media.origin,
    media_id: media.mediaId,
    created_ts: media.createdAt,
    uploader: media.uploader,
  }
  return `${JSON.stringify(formatMxc(media))}:${JSON.stringify(record)}`
}

const isRecord = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)
const moment = z.int().min(0)
// oxlint-disable-next-line no-control-regex -- what nobody's name has, and not every database takes
const NAME = /^[^\0-\x1f\x7f]*$/
const entity = z.string().max(255).regex(NAME).optional()

const RECORD = z.object({
  name: z.string().max(4096).default(''),
  file_name: z.string().max(1024).default(''),
  size_bytes: z.int().min(0),
  content_type: z.string().max(1024).default(''),
  s3_url: z.string().max(8192).default(''),
  sha256: z
    .string()
    .regex(/^([0-9a-fA-F]{64})?$/)
    .default(''),
  origin: z.string().refine(isServerName),
  media_id: z.string().refine(isMediaId),
  created_ts: moment,
  uploader: z.string().max(255).default(''),
})

/** Version 1 called the entity `user_id`. */
const MANIFEST = z.object({
  version: z.union([z.literal(1), z.literal(VERSION)]),
  entity_id: entity,
  user_id: entity,
  created_ts: moment,
  media: z.custom<Readonly<Record<string, unknown>>>(isRecord, 'no object'),
})

/**
 * What a `manifest.json` says.
 *
 * @throws {Refused} `bad_request`, with what is wrong with it
 */
export function parseManifest(text: string): Manifest {
  const parsed = MANIFEST.safeParse(jsonOf(text))
  if (!parsed.success) throw refused(whatIsWrong(parsed.error))
  const { entity_id, user_id, created_ts, media } = parsed.data
  const whose = entity_id ?? user_id
  if (whose === undefined) throw refused('entity_id: missing')
  const members = Object.entries(media)
  if (members.length > MOST_MEDIA) throw refused(`it names ${members.length} media, ${MOST_MEDIA} are the most`)
  return { entity: whose, createdAt: created_ts, media: members.map(([mxc, member]) => readMember(mxc, member)) }
}

function readMember(mxc: string, member: unknown): ManifestMedia {
  const parsed = RECORD.safeParse(member)
  if (!parsed.success) throw refused(`media ${JSON.stringify(mxc.slice(0, 300))}: ${whatIsWrong(parsed.error)}`)
  const { origin, media_id: mediaId, ...record } = parsed.data
  if (formatMxc({ origin, mediaId }) !== mxc) {
    throw refused(`media ${JSON.stringify(mxc.slice(0, 300))}: its record names ${formatMxc({ origin, mediaId })}`)
  }
  return {
    origin,
    mediaId,
    name: record.name,
    fileName: record.file_name,
    size: record.size_bytes,
    contentType: record.content_type,
    s3Url: record.s3_url,
    sha256: record.sha256 === '' ? undefined : record.sha256.toLowerCase(),
    createdAt: record.created_ts,
    uploader: record.uploader,
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw refused('it is no JSON', cause)
  }
}

function whatIsWrong(error: z.ZodError): string {
  const [issue] = error.issues
  return issue ? `${issue.path.map(String).join('.')}: ${issue.message}` : 'unreadable'
}

const refused = (what: string, cause?: unknown) =>
  new Refused('bad_request', `The archive's ${MANIFEST_ENTRY} is not as it should be: ${what}`, { cause })
