import { hash } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'
import { Refused, RefusedByHomeserver } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { LocalAppservices } from './appservices.ts'
import type { Credentials } from './appservices.ts'
import type { Caller, UserCaller } from './caller.ts'
import { errcodeOf } from './client.ts'
import type { Answer, Call } from './client.ts'
import { Connections, type OnAnswers } from './connections.ts'
import {
  adminQuestion,
  cannotList,
  readAdmin,
  readRoomMedia,
  readVersions,
  readWhoami,
  roomMediaQuestion,
} from './answers.ts'
import type { ClientVersions, Identity, RoomMedia, UnknownToken } from './answers.ts'
import { serverOf } from './ids.ts'
import { introspectionQuestion, readIntrospection } from './introspection.ts'
import { SharedLookups } from './lookups.ts'
import type { Found } from './lookups.ts'
import type { HomeserverOptions, IntrospectionOptions } from './options.ts'
import { hashToken } from './secrets.ts'

const MOST_TOKENS = 50_000
const MOST_VERSIONS = 1000
const KEEP_ADMIN_MS = 60_000
const KEEP_VERSIONS_MS = 60_000
/** What can stand in an `Authorization` header after `Bearer`. */
const TOKEN = /^[\x21-\x7e]+$/

export interface HomeserversParts {
  readonly log: Log
  readonly clock: Clock
  /** Told what was forgotten here because of a logout, so that other instances can be told to forget it too. */
  readonly onForgotten?: (forgotten: Forgotten) => void
  /** Told when a homeserver gives no answer any more, and when it does again. */
  readonly onAnswers?: OnAnswers
}

/** What a logout made worthless. It holds no token and can be sent to other instances, for their `forget`. */
export type Forgotten =
  | { readonly kind: 'token'; readonly tokenHash: string }
  | { readonly kind: 'user'; readonly userId: string }
  | { readonly kind: 'all' }

/** On whose behalf a homeserver is asked. */
export interface Asker {
  /** The client's address, passed on to the homeserver. */
  readonly address?: string | undefined
  /** Aborts when the client hangs up. Ends only its own waiting, not the look-up that others may share. */
  readonly signal?: AbortSignal | undefined
}

/** Connects to no homeserver yet; dispose of it to close the connections. */
export function openHomeservers(parts: HomeserversParts): Homeservers {
  return new Homeservers(parts)
}

/** The homeservers this repository serves: who a token belongs to, who is their administrator, what they support. */
export class Homeservers implements AsyncDisposable {
  readonly #parts: HomeserversParts
  readonly #connections: Connections
  readonly #appservices: LocalAppservices
  readonly #identities: SharedLookups<Identity | UnknownToken>
  readonly #admins: SharedLookups<boolean>
  readonly #versions: SharedLookups<ClientVersions>

  constructor(parts: HomeserversParts) {
    const { clock } = parts
    this.#parts = parts
    this.#connections = new Connections(parts)
    this.#appservices = new LocalAppservices(parts.log)
    this.#identities = new SharedLookups({ clock, most: MOST_TOKENS })
    this.#admins = new SharedLookups({ clock, most: MOST_TOKENS })
    this.#versions = new SharedLookups({ clock, most: MOST_VERSIONS })
  }

  /**
   * Who a token belongs to: by the local appservice list, a kept answer, or the homeserver (specification, `GET
   * /_matrix/client/v3/account/whoami`).
   *
   * @throws {RefusedByHomeserver} with the homeserver's own words: M_UNKNOWN_TOKEN, M_USER_LOCKED, M_FORBIDDEN for an
   * appservice that may not act as this user, …
   * @throws {Refused} `homeserver_unavailable` when it cannot tell; never kept
   * @throws {CallerGone} when the asker's signal aborts
   */
  async whoami(homeserver: HomeserverOptions, credentials: Credentials, asker: Asker): Promise<UserCaller> {
    const known = this.known(homeserver, credentials)
    if (known) return known
    return callerOf(homeserver, credentials, await this.#identify(homeserver, credentials, asker))
  }

  /** The same where it is known without asking: nearly always, and then without waiting for anything. Refuses as `whoami` does. */
  known(homeserver: HomeserverOptions, credentials: Credentials): UserCaller | undefined {
    refuseImpossible(credentials.token)
    const userId = this.#appservices.userOf(homeserver, credentials)
    if (userId !== undefined) {
      return { ...callerOf(homeserver, credentials, { kind: 'user', userId, isGuest: false }), isAppservice: true }
    }
    const kept = this.#identities.kept(this.#keyOf(homeserver, hashToken(credentials.token), credentials))
    return kept && callerOf(homeserver, credentials, kept)
  }

  /**
   * Whether the homeserver lets the caller use its administration API (MMR behaviour: whoever may look at a made-up user), or
   * the OAuth 2.0 server that is configured for it says so. Kept for a minute at most, and forgotten with the token.
   * Guests and anonymous callers are not asked about; the holder of the shared secret is one everywhere.
   *
   * @throws {RefusedByHomeserver} when the token has become invalid
   * @throws {Refused} `homeserver_unavailable`
   * @throws {CallerGone} when the asker's signal aborts
   */
  async isAdmin(homeserver: HomeserverOptions, caller: Caller, asker: Asker): Promise<boolean> {
    if (caller.kind === 'shared_secret') return true
    if (caller.kind !== 'user' || caller.isGuest || serverOf(caller.userId) !== homeserver.name) return false
    const credentials = { token: caller.token, userId: caller.assertedUserId }
    const tokenHash = hashToken(caller.token)
    const { introspection } = homeserver
    const ask = introspection?.endpoint
      ? () => this.#introspect(homeserver, introspection, caller.token)
      : () => this.#askWhetherAdmin(homeserver, credentials, asker.address)
    const key = this.#keyOf(homeserver, tokenHash, credentials)
    const tags = [tokenTag(tokenHash), userTag(caller.userId)]
    return this.#admins.find({ key, tags, ask }, asker)
  }

  /**
   * The homeserver's yes (2xx) or no (4xx) to a question of its administration, asked with the caller's own token; the holder of
   * the shared secret has none that the homeserver would know. Not kept.
   *
   * @throws {Refused} `homeserver_unavailable`; `bad_request` for the shared secret
   * @throws {RefusedByHomeserver} when the token has become invalid
   */
  async askForAdministrator(
    homeserver: HomeserverOptions,
    caller: Caller,
    question: Pick<Call, 'path' | 'query' | 'mostBytes'>,
    asker: Asker,
  ): Promise<Answer> {
    if (caller.kind !== 'user') {
      throw new Refused(
        'bad_request',
        `This is asked of ${homeserver.name}: it needs the token of an administrator there`,
      )
    }
    const query = { ...question.query, user_id: caller.assertedUserId }
    const call: Call = { ...question, method: 'GET', query, token: caller.token, address: asker.address }
    const answer = await this.#connections.call(homeserver, 'administrators', call)
    if (errcodeOf(answer) !== 'M_UNKNOWN_TOKEN') return answer
    this.forgetToken(hashToken(caller.token))
    throw new RefusedByHomeserver(answer.status, answer.body ?? {})
  }

  /**
   * The media that the unencrypted events of a room name, as the homeserver lists them to the caller (Synapse's administration
   * API, `GET /_synapse/admin/v1/room/{roomId}/media`). Never kept.
   *
   * @throws {RefusedByHomeserver} with the homeserver's words, when it does not tell the caller
   * @throws {Refused} `bad_request` where nobody can be asked: another kind of homeserver, or a caller without an access token
   * of it; `homeserver_unavailable`
   */
  async roomMedia(homeserver: HomeserverOptions, caller: Caller, roomId: string, asker: Asker): Promise<RoomMedia> {
    // `matrix` says nothing of who it is.
    if (homeserver.adminApiKind === 'dendrite') throw cannotList(homeserver)
    if (caller.kind !== 'user') {
      const who = `an access token of an administrator of ${homeserver.name}`
      throw new Refused(
        'bad_request',
        `The homeserver lists the media of a room only to ${who}: the shared secret is none`,
      )
    }
    const credentials = { token: caller.token, userId: caller.assertedUserId }
    const call: Call = { ...roomMediaQuestion(roomId, credentials), address: asker.address }
    return readRoomMedia(homeserver, await this.#connections.call(homeserver, 'administrators', call))
  }

  /** After a reload: these homeservers are all there are. Nothing is told of others any more. */
  keepOnly(homeservers: Iterable<string>): void {
    this.#connections.keepOnly(new Set(homeservers))
  }

  /**
   * What the homeserver says it supports, with v1.11 (authenticated media) added: that part is ours. Asked without a token,
   * kept for a minute (specification, `GET /_matrix/client/versions`).
   *
   * @throws {Refused} `homeserver_unavailable`
   * @throws {CallerGone} when the asker's signal aborts
   */
  async versions(homeserver: HomeserverOptions, asker: Asker): Promise<ClientVersions> {
    const call: Call = { method: 'GET', path: '/_matrix/client/versions', address: asker.address }
    const ask = async (): Promise<Found<ClientVersions>> => {
      const value = readVersions(homeserver, await this.#connections.call(homeserver, 'users', call))
      return { value, keepMs: KEEP_VERSIONS_MS }
    }
    return this.#versions.find({ key: String(this.#connections.serialOf(homeserver)), tags: [], ask }, asker)
  }

  /**
   * Passes a logout on, and forgets the token, or with `all` everything about its user, whatever becomes of it: a logout
   * whose answer got lost may well have happened. A client that hangs up does not stop it.
   *
   * Gives the homeserver's answer, also when it refuses (4xx).
   *
   * @throws {Refused} `homeserver_unavailable`
   */
  async logout(
    homeserver: HomeserverOptions,
    credentials: Credentials,
    options: { readonly all: boolean; readonly address?: string | undefined },
  ): Promise<Answer> {
    refuseImpossible(credentials.token)
    const { token, userId, deviceId } = credentials
    const call: Call = {
      method: 'POST',
      path: `/_matrix/client/v3/logout${options.all ? '/all' : ''}`,
      query: { user_id: userId, device_id: deviceId },
      token,
      address: options.address,
    }
    const others = options.all ? await this.#othersOf(homeserver, credentials, options.address) : undefined
    let answer: Answer | undefined
    try {
      answer = await this.#connections.call(homeserver, 'users', call)
      return answer
    } finally {
      this.#forgetAndTell({ kind: 'token', tokenHash: hashToken(token) })
      const refused = answer !== undefined && answer.status >= 400
      if (others && !refused) this.#forgetAndTell(others)
    }
  }

  /** Forgets what another instance's logout made worthless. */
  forget(forgotten: Forgotten): void {
    if (forgotten.kind === 'token') this.forgetToken(forgotten.tokenHash)
    else if (forgotten.kind === 'user') this.forgetUser(forgotten.userId)
    else this.forgetAll()
  }

  /** Forgets whose token this is (by its SHA-256 in hex), also if that is being looked up right now. */
  forgetToken(tokenHash: string): void {
    this.#identities.forget(tokenTag(tokenHash))
    this.#admins.forget(tokenTag(tokenHash))
  }

  /** Forgets all tokens of a user. Which of the look-ups under way are about this user is not known yet: none is kept. */
  forgetUser(userId: string): void {
    this.#identities.forget(userTag(userId))
    this.#identities.forgetLookupsUnderWay()
    this.#admins.forget(userTag(userId))
  }

  /** Forgets every answer about every token. */
  forgetAll(): void {
    this.#identities.forgetAll()
    this.#admins.forgetAll()
  }

  /** Ends the calls under way as failed and closes the connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections[Symbol.asyncDispose]()
  }

  async #identify(
    homeserver: HomeserverOptions,
    credentials: Credentials,
    asker: Asker,
  ): Promise<Identity | UnknownToken> {
    const { token, userId, deviceId } = credentials
    const call: Call = {
      method: 'GET',
      path: '/_matrix/client/v3/account/whoami',
      query: { user_id: userId, device_id: deviceId },
      token,
      address: asker.address,
    }
    const tokenHash = hashToken(token)
    const ask = async (): Promise<Found<Identity | UnknownToken>> => {
      const found = readWhoami(homeserver, await this.#connections.call(homeserver, 'users', call))
      return found.value.kind === 'user' ? { ...found, tags: [userTag(found.value.userId)] } : found
    }
    const key = this.#keyOf(homeserver, tokenHash, credentials)
    return this.#identities.find({ key, tags: [tokenTag(tokenHash)], ask }, asker)
  }

  async #askWhetherAdmin(
    homeserver: HomeserverOptions,
    credentials: Credentials,
    address: string | undefined,
  ): Promise<Found<boolean>> {
    const call: Call = { ...adminQuestion(homeserver, credentials), address }
    const answer = await this.#connections.call(homeserver, 'administrators', call)
    if (errcodeOf(answer) === 'M_UNKNOWN_TOKEN') this.forgetToken(hashToken(credentials.token))
    return { value: readAdmin(this.#parts.log, homeserver, answer), keepMs: KEEP_ADMIN_MS }
  }

  async #introspect(
    homeserver: HomeserverOptions,
    options: IntrospectionOptions,
    token: string,
  ): Promise<Found<boolean>> {
    const { log, clock } = this.#parts
    const answer = await this.#connections.call(homeserver, 'administrators', introspectionQuestion(options, token))
    return readIntrospection(answer, options, { log, homeserver, keepMs: KEEP_ADMIN_MS, now: clock.now() })
  }

  /** What a `/logout/all` makes worthless besides the token: everything, if the homeserver does not say who this is. */
  async #othersOf(
    homeserver: HomeserverOptions,
    credentials: Credentials,
    address: string | undefined,
  ): Promise<Forgotten | undefined> {
    try {
      const { userId } = await this.whoami(homeserver, credentials, { address })
      return { kind: 'user', userId }
    } catch (error) {
      if (!(error instanceof RefusedByHomeserver)) throw error
      return error.body['errcode'] === 'M_UNKNOWN_TOKEN' ? undefined : { kind: 'all' }
    }
  }

  #forgetAndTell(forgotten: Forgotten): void {
    this.forget(forgotten)
    this.#parts.onForgotten?.(forgotten)
  }

  /** Hashed, since the query parameters can be as long as a client likes. */
  #keyOf(homeserver: HomeserverOptions, tokenHash: string, { userId, deviceId }: Credentials): string {
    const serial = this.#connections.serialOf(homeserver)
    const plain = `${serial} ${tokenHash}`
    if (userId === undefined && deviceId === undefined) return plain
    return `${plain} ${hash('sha256', JSON.stringify([userId ?? null, deviceId ?? null]))}`
  }
}

/** @throws {RefusedByHomeserver} for a token that is nobody's */
function callerOf(
  homeserver: HomeserverOptions,
  { token, userId }: Credentials,
  found: Identity | UnknownToken,
): UserCaller {
  if (found.kind === 'unknown_token') throw new RefusedByHomeserver(found.status, found.body)
  const caller = { ...found, serverName: homeserver.name, token }
  // A homeserver ignores the user_id of an ordinary user's request, so only one that it took up is sent again.
  return userId === found.userId ? { ...caller, assertedUserId: userId } : caller
}

/** Before it is part of a header: undici's refusal would look like a failure of the homeserver. */
function refuseImpossible(token: string): void {
  if (!TOKEN.test(token)) throw new Refused('unknown_token', 'The access token has characters that none can have')
}

function tokenTag(tokenHash: string): string {
  return `token ${tokenHash}`
}

function userTag(userId: string): string {
  return `user ${userId}`
}
