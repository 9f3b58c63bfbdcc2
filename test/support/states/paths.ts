/** Every way in which somebody can get some media: the columns of the table. */
import { request } from 'undici'
import { ADMIN, type Instance, type Pair, READER, type Request, sha256, type Told } from './pair.ts'

/** What media are asked for, and their bytes. */
export interface Subject {
  /** `server/MEDIA_ID`. */
  readonly media: string
  readonly bytes: Buffer
  /** A page whose preview shows it. */
  readonly page?: string
}

/** Who asks: the rows say for each of them what is answered. */
export type Who =
  /** Users with a token, by whatever path. */
  | 'users'
  /** Whoever has none, by the older paths. */
  | 'anybody'
  /** Other homeservers. */
  | 'servers'
  /** Administrators who ask to see it although it is quarantined. */
  | 'bypass'

export interface Path {
  readonly name: string
  readonly who: Who
  readonly request: (pair: Pair, subject: Subject) => Request
  /** The status with which it is served. */
  readonly served: 200 | 206 | 304
  /** Whether a client may be sent to the bucket instead. */
  readonly elsewhere?: true
  /** It leaves another name of the content behind, and is for media of other servers: asked for after the change only. */
  readonly copies?: true
  /** Whether the bytes are those that were uploaded. */
  readonly isIt?: (told: Told, subject: Subject) => boolean
}

export const SERVED = 'served'

const CLIENT = '/_matrix/client/v1/media'
const SIZE = 'width=32&height=32&method=crop'
const BYPASS = '&admin_unsafely_bypass_quarantine=true'
const NOW = 'timeout_ms=1'

const whole = ({ body }: Told, { bytes }: Subject) => body.equals(bytes)
const part = ({ body }: Told, { bytes }: Subject) => body.equals(bytes.subarray(0, 10))
const within = ({ body }: Told, { bytes }: Subject) => body.includes(bytes)
const nothing = ({ body }: Told) => body.length === 0
const picture = ({ headers, body }: Told) => String(headers['content-type']).startsWith('image/') && body.length > 0
const mixed = ({ headers }: Told) => String(headers['content-type']).startsWith('multipart/mixed')
const described = ({ body }: Told, { bytes }: Subject) => JSON.parse(String(body)).hashes.sha256 === sha256(bytes)

type Asked = (subject: Subject) => Request

/** The ways of one kind of address: whole, its head, a part, and "only if it is another than I have". */
function ways(name: string, who: Who, asked: Asked, sent: 'elsewhere' | 'from here'): readonly Path[] {
  const leaving = sent === 'elsewhere' ? { elsewhere: true as const } : {}
  const way = (how: string, served: Path['served'], isIt: NonNullable<Path['isIt']>, more: (of: Subject) => object) => {
    const request = (_: Pair, subject: Subject) => ({ ...asked(subject), ...more(subject) })
    return { name: `${how} ${name}`, who, served, request, isIt }
  }
  return [
    { ...way('GET', 200, whole, () => ({})), ...leaving },
    way('HEAD', 200, nothing, () => ({ method: 'HEAD' })),
    { ...way('Range', 206, part, () => ({ headers: { range: 'bytes=0-9' } })), ...leaving },
    way('If-None-Match: *', 304, nothing, () => ({ headers: { 'if-none-match': '*' } })),
    way('If-None-Match: ETag', 304, nothing, ({ bytes }) => ({ headers: { 'if-none-match': `"${sha256(bytes)}"` } })),
  ]
}

/** The same of a thumbnail, as far as a thumbnail has them. */
function thumbnailWays(name: string, who: Who, asked: Asked, sent: 'elsewhere' | 'from here'): readonly Path[] {
  const isThere = ({ name: way }: Path) => !way.startsWith('Range') && !way.includes('ETag')
  const ofPicture = (path: Path) => (path.name.startsWith('GET') ? { ...path, isIt: picture } : path)
  return ways(name, who, asked, sent).filter(isThere).map(ofPicture)
}

/** Asks with this token, if with any, for what `path` says of `server/MEDIA_ID`. */
const asking =
  (path: (media: string) => string, token?: string): Asked =>
  ({ media }) => ({ path: path(media), token })

/** What other homeservers ask for, with their signature. */
function ofServers(name: string, what: string, isIt: NonNullable<Path['isIt']>): readonly Path[] {
  const signed =
    (headers: Readonly<Record<string, string>>) =>
    (pair: Pair, { media }: Subject) => {
      const path = `/_matrix/federation/v1/media/${what.replace('ID', media.split('/')[1] ?? '')}`
      return { path, headers: { authorization: pair.signature(path), ...headers } }
    }
  const head = signed({ 'if-none-match': '*' })
  return [
    { name: `GET ${name}`, who: 'servers', served: 200, request: signed({}), isIt },
    { name: `If-None-Match: * ${name}`, who: 'servers', served: 304, request: head, isIt: nothing },
  ]
}

const user = READER.token
const admin = ADMIN.token
const download = (query: string) => (media: string) => `${CLIENT}/download/${media}?${NOW}${query}`
const thumbnail = (query: string) => (media: string) => `${CLIENT}/thumbnail/${media}?${NOW}&${SIZE}${query}`
const legacyDownload = (version: string, query: string) => (media: string) =>
  `/_matrix/media/${version}/download/${media}?${NOW}${query}`
const legacyThumbnail = (version: string) => (media: string) =>
  `/_matrix/media/${version}/thumbnail/${media}?${NOW}&${SIZE}`
const own = (what: string) => (media: string) => `/_matrix/media/unstable/${what}/${media}?${NOW}`
/** Of versions that are the same route as v3 this much is enough. */
const isPlain = ({ name }: Path) => name.startsWith('GET')

/** What clients ask for most. */
export const DOWNLOAD: Path = {
  name: 'GET client v1 download',
  who: 'users',
  served: 200,
  request: (_, of) => asking(download(''), user)(of),
  elsewhere: true,
}

/** All of them. */
export const PATHS: readonly Path[] = [
  ...ways('client v1 download', 'users', asking(download(''), user), 'elsewhere'),
  ...ways(
    'client v1 download/cat.png',
    'users',
    asking((media) => download('')(`${media}/cat.png`), user),
    'elsewhere',
  ),
  ...thumbnailWays('client v1 thumbnail', 'users', asking(thumbnail(''), user), 'elsewhere'),
  ...ways('v3 download with a token', 'users', asking(legacyDownload('v3', ''), user), 'from here'),
  { name: 'GET info', who: 'users', served: 200, request: (_, of) => asking(own('info'), user)(of), isIt: described },
  {
    name: 'GET local_copy',
    who: 'users',
    served: 200,
    request: (_, of) => asking(own('local_copy'), user)(of),
    copies: true,
  },
  ...['r0', 'v1'].flatMap((version) => [
    ...ways(`${version} download`, 'anybody', asking(legacyDownload(version, '')), 'from here').filter(isPlain),
    ...thumbnailWays(`${version} thumbnail`, 'anybody', asking(legacyThumbnail(version)), 'from here').filter(isPlain),
  ]),
  ...ways('v3 download', 'anybody', asking(legacyDownload('v3', '')), 'from here'),
  ...ways('v3 download?allow_redirect', 'anybody', asking(legacyDownload('v3', '&allow_redirect=true')), 'elsewhere'),
  ...thumbnailWays('v3 thumbnail', 'anybody', asking(legacyThumbnail('v3')), 'from here'),
  ...ofServers('federation download', `download/ID?${NOW}`, within),
  ...ofServers('federation thumbnail', `thumbnail/ID?${SIZE}&${NOW}`, mixed),
  ...ways('client v1 download, bypassing', 'bypass', asking(download(BYPASS), admin), 'elsewhere'),
  ...thumbnailWays('client v1 thumbnail, bypassing', 'bypass', asking(thumbnail(BYPASS), admin), 'elsewhere'),
]

/** What an instance answers on a path: `served`, or the status and the error code. */
export async function read(pair: Pair, { ask }: Instance, path: Path, subject: Subject): Promise<string> {
  const asked = path.request(pair, subject)
  const told = await ask(asked)
  const isSentElsewhere = told.status === 307 && path.elsewhere
  const followed = isSentElsewhere ? await follow(told, asked) : told
  const isServed = followed.status === path.served && (path.isIt?.(followed, subject) ?? true)
  if (!isServed) return refusal(followed)
  // What is quarantined has no other address, also for administrators.
  const shouldLeave = pair.redirects && path.elsewhere && path.who !== 'bypass'
  return shouldLeave && !isSentElsewhere ? 'served from here' : SERVED
}

/** `404 M_NOT_FOUND`; of HEAD the status alone, and of what should not be so the length. */
export function refusal({ status, headers, body }: Told): string {
  if (status < 400) return `${status} with ${body.length} other bytes of ${String(headers['content-type'])}`
  const { errcode = '' } = body.length > 0 ? (JSON.parse(String(body)) as { readonly errcode?: string }) : {}
  return `${status} ${errcode}`.trim()
}

/** At the address where a client is sent, without any token. */
export async function follow({ headers }: Told, { headers: asked = {} }: Partial<Request> = {}): Promise<Told> {
  const answer = await request(String(headers['location']), { headers: asked })
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.from(await answer.body.arrayBuffer()) }
}
