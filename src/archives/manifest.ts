import { z } from 'zod'
import { Refused } from '../lib/errors.ts'
import { type JsonMember, JsonMembers } from '../lib/json-members.ts'
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

/** What a manifest says beside its media. */
export interface ManifestHead {
  /** A user id or a server name: whose media they are. */
  readonly entity: string
  /** ms since 1970. */
  readonly createdAt: number
}

/** As read: an old archive may not know hashes. */
export type ManifestMedia = Omit<ArchivedFile, 'sha256'> & { readonly sha256: string | undefined }

export const MANIFEST_ENTRY = 'manifest.json'
/** Of one media, or of anything beside them: all that is in memory at a time. The longest that is taken has less than a tenth of it. */
const LARGEST_MEMBER = 1024 * 1024
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
const HEAD = z.object({
  version: z.union([z.literal(1), z.literal(VERSION)]),
  entity_id: entity,
  user_id: entity,
  created_ts: moment,
})
const SOME_OF_HEAD = HEAD.partial()

/**
 * What a `manifest.json` says, of whatever size: `keep` gets its media while it is read, some at a time, in its order. That all of it is right
 * is known only at its end.
 *
 * @throws {Refused} `bad_request`, with what is wrong with it
 */
export async function readManifest(
  bytes: AsyncIterable<Uint8Array>,
  keep: (media: readonly ManifestMedia[]) => void,
): Promise<ManifestHead> {
  const reader = new JsonMembers({ opened: 'media', largest: LARGEST_MEMBER })
  const head = new Map<string, unknown>()
  for await (const chunk of bytes) {
    const members = reading(() => reader.add(chunk))
    for (const member of members) if (!member.isInside) noteHead(head, member)
    const media = members.filter(({ isInside }) => isInside)
    if (media.length > 0) keep(media.map(readMember))
  }
  reading(() => reader.end())
  if (!reader.hasOpened) throw refused('media: missing')
  return headOf(head)
}

function reading<Result>(read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    if (error instanceof SyntaxError) throw refused(`it is no JSON: ${error.message}`, error)
    if (error instanceof RangeError) throw refused(error.message, error)
    throw error
  }
}

/** Looked at as soon as it comes, so that the media of another version are not held against the rules of this one. */
function noteHead(head: Map<string, unknown>, { key, value }: JsonMember): void {
  if (key === 'media') throw refused('media: no object')
  // What others may have put beside it.
  if (!Object.hasOwn(HEAD.shape, key)) return
  if (head.has(key)) throw refused(`it has "${key}" twice`)
  const { error } = SOME_OF_HEAD.safeParse({ [key]: value })
  if (error) throw refused(whatIsWrong(error))
  head.set(key, value)
}

function headOf(head: ReadonlyMap<string, unknown>): ManifestHead {
  const parsed = HEAD.safeParse(Object.fromEntries(head))
  if (!parsed.success) throw refused(whatIsWrong(parsed.error))
  const { entity_id, user_id, created_ts } = parsed.data
  const whose = entity_id ?? user_id
  if (whose === undefined) throw refused('entity_id: missing')
  return { entity: whose, createdAt: created_ts }
}

function readMember({ key: mxc, value }: JsonMember): ManifestMedia {
  const parsed = RECORD.safeParse(value)
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

function whatIsWrong(error: z.ZodError): string {
  const [issue] = error.issues
  return issue ? `${issue.path.map(String).join('.')}: ${issue.message}` : 'unreadable'
}

const refused = (what: string, cause?: unknown) =>
  new Refused('bad_request', `The archive's ${MANIFEST_ENTRY} is not as it should be: ${what}`, { cause })
