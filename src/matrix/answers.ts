import { Refused, RefusedByHomeserver } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Credentials } from './appservices.ts'
import { errcodeOf, unavailable } from './client.ts'
import type { Answer, Call, JsonObject } from './client.ts'
import { serverOf } from './ids.ts'
import type { Found } from './lookups.ts'
import type { HomeserverOptions } from './options.ts'

const KEEP_UNKNOWN_TOKEN_MS = 30_000
/** A user who does not exist: only an administrator is not refused when looking at others (MMR behaviour). */
const MADE_UP_USER = '@media.repo.admin.check'
const OURS = 'v1.11'
/** Some 250,000 MXC URIs. */
const LARGEST_ROOM_BYTES = 16 * 1024 * 1024

/** Whose token it is. The token itself is not part of it: it must not stay in memory. */
export interface Identity {
  readonly kind: 'user'
  readonly userId: string
  readonly isGuest: boolean
  readonly deviceId?: string | undefined
}

/** The homeserver's definite word that it does not know the token, perhaps with `soft_logout`. */
export interface UnknownToken {
  readonly kind: 'unknown_token'
  readonly status: number
  readonly body: JsonObject
}

/** The media that the unencrypted events of a room name, as MXC URIs. */
export interface RoomMedia {
  readonly local: readonly string[]
  readonly remote: readonly string[]
}

/** The body of `/_matrix/client/versions`. */
export interface ClientVersions {
  readonly versions: readonly string[]
  readonly unstable_features: JsonObject
}

/**
 * What the answer to whoami says, and for how long that may be relied on: `accessTokens.maxCacheTimeSeconds`, of an unknown
 * token half a minute at most.
 *
 * @throws {RefusedByHomeserver} for other refusals of the caller (locked, suspended, may not act as this user): these may
 * end at any time and are not kept
 * @throws {Refused} `homeserver_unavailable` when the answer cannot be one of this homeserver
 */
export function readWhoami(homeserver: HomeserverOptions, answer: Answer): Found<Identity | UnknownToken> {
  const maxCacheMs = homeserver.accessTokens.maxCacheTimeSeconds * 1000
  if (answer.status < 300) return { value: readIdentity(homeserver, answer.body ?? {}), keepMs: maxCacheMs }
  const { status, body } = refusalOf(homeserver, answer)
  if (errcodeOf(answer) !== 'M_UNKNOWN_TOKEN') throw new RefusedByHomeserver(status, body)
  return { value: { kind: 'unknown_token', status, body }, keepMs: Math.min(maxCacheMs, KEEP_UNKNOWN_TOKEN_MS) }
}

/** How to ask whether the owner of a token is an administrator. */
export function adminQuestion(homeserver: HomeserverOptions, credentials: Credentials): Call {
  const folder = homeserver.adminApiKind === 'synapse' ? '/_synapse/admin/v1' : '/_matrix/client/v3/admin'
  const user = encodeURIComponent(`${MADE_UP_USER}:${homeserver.name}`)
  return {
    method: 'GET',
    path: `${folder}/whois/${user}`,
    query: { user_id: credentials.userId },
    token: credentials.token,
  }
}

/**
 * Whether the answer to that says so. An answer that is neither yes nor 403 makes nobody an administrator, and is logged,
 * since `adminApiKind` is probably wrong.
 *
 * @throws {RefusedByHomeserver} when the token has become invalid
 */
export function readAdmin(log: Log, homeserver: HomeserverOptions, answer: Answer): boolean {
  if (answer.status < 300) return true
  if (answer.status === 403) return false
  if (answer.status === 401 && answer.body && errcodeOf(answer)) throw new RefusedByHomeserver(401, answer.body)
  const { name, adminApiKind } = homeserver
  const fields = { homeserver: name, adminApiKind, status: answer.status, errcode: errcodeOf(answer) }
  log.warn(fields, 'the homeserver cannot tell who is an administrator: check adminApiKind, or list them in admins')
  return false
}

/** How to ask for the media of a room (Synapse's administration API). */
export function roomMediaQuestion(roomId: string, credentials: Credentials): Call {
  return {
    method: 'GET',
    path: `/_synapse/admin/v1/room/${encodeURIComponent(roomId)}/media`,
    query: { user_id: credentials.userId },
    token: credentials.token,
    mostBytes: LARGEST_ROOM_BYTES,
  }
}

/**
 * The MXC URIs in the answer to that: those of media of the homeserver, and of others.
 *
 * @throws {RefusedByHomeserver} when the caller may not ask, or the room is none
 * @throws {Refused} `bad_request` when the homeserver has no such endpoint; `homeserver_unavailable` for an answer that makes no
 * sense
 */
export function readRoomMedia(homeserver: HomeserverOptions, answer: Answer): RoomMedia {
  const { status, body } = answer
  const errcode = errcodeOf(answer)
  if (status === 404 && (errcode === undefined || errcode === 'M_UNRECOGNIZED')) throw cannotList(homeserver)
  if (status >= 300 && status < 500 && body && errcode !== undefined) throw new RefusedByHomeserver(status, body)
  const [local, remote] = [body?.['local'], body?.['remote']]
  if (status >= 300 || !Array.isArray(local) || !Array.isArray(remote)) throw notAHomeserver(homeserver, answer)
  return { local: texts(local), remote: texts(remote) }
}

const texts = (list: readonly unknown[]) => list.filter((one) => typeof one === 'string')

/** Only Synapse can tell. */
export const cannotList = ({ name }: HomeserverOptions): Refused =>
  new Refused('bad_request', `The homeserver of ${name} cannot list the media of a room: only Synapse can`)

/**
 * The versions and unstable features in an answer, with v1.11 added if it is not there.
 *
 * @throws {Refused} `homeserver_unavailable` when there are none
 */
export function readVersions(homeserver: HomeserverOptions, answer: Answer): ClientVersions {
  const versions = answer.body?.['versions']
  if (answer.status >= 300 || !Array.isArray(versions)) throw notAHomeserver(homeserver, answer)
  const known = versions.filter((version) => typeof version === 'string')
  const features = answer.body?.['unstable_features']
  return {
    versions: known.includes(OURS) ? known : [...known, OURS],
    unstable_features: typeof features === 'object' && features !== null ? { ...features } : {},
  }
}

function readIdentity(homeserver: HomeserverOptions, body: JsonObject): Identity {
  const userId = body['user_id']
  if (typeof userId !== 'string') throw notAHomeserver(homeserver, { status: 200, body, retryAfterMs: undefined })
  if (serverOf(userId) !== homeserver.name) {
    const cause = new Error(`${homeserver.csApi} says that the caller is ${userId}`)
    throw unavailable(homeserver, 'knows the caller as a user of another server: check its csApi', { cause })
  }
  const deviceId = body['device_id']
  return {
    kind: 'user',
    userId,
    // MSC3069's name was used before the specification took `is_guest` over.
    isGuest: body['is_guest'] === true || body['org.matrix.msc3069.is_guest'] === true,
    deviceId: typeof deviceId === 'string' ? deviceId : undefined,
  }
}

/** A refusal in the homeserver's own words. One without an errcode, or a 404, comes from something else at that address. */
function refusalOf(homeserver: HomeserverOptions, answer: Answer): { status: number; body: JsonObject } {
  const { status, body } = answer
  if (![400, 401, 403].includes(status) || !body || errcodeOf(answer) === undefined)
    throw notAHomeserver(homeserver, answer)
  return { status, body }
}

function notAHomeserver(homeserver: HomeserverOptions, answer: Answer) {
  const body = JSON.stringify(answer.body ?? '').slice(0, 200)
  const cause = new Error(`${homeserver.csApi} answered ${answer.status} ${body}`)
  return unavailable(homeserver, 'does not answer as a homeserver does: check its csApi', { cause })
}
