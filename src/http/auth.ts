import type { IncomingMessage } from 'node:http'
import type { HomeserverConfig, MainConfig } from '../config/schema.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { Refused, RefusedByHomeserver } from '../lib/errors.ts'
import type { Credentials } from '../matrix/appservices.ts'
import { anonymous, type Caller, sharedSecretCaller, userIdOf } from '../matrix/caller.ts'
import type { Homeservers } from '../matrix/homeserver.ts'
import { isExempt } from '../media/byte-limit.ts'
import {
  destinationOf,
  identifyServer,
  isSameServer,
  type ReceivedRequest,
  type XMatrixParts,
} from '../matrix/x-matrix.ts'
import type { Administers, Call } from './call.ts'
import type { RequestLimits } from './request-limits.ts'
import type { ServerLimits } from './server-limits.ts'

/** Who may call a route. */
export type Who =
  /** Nobody is asked for a token. */
  | 'anyone'
  /** A token is looked at only where it makes a difference. */
  | 'optional'
  | 'user'
  | 'user_or_guest'
  /** Another Matrix server, by the signature of its request. */
  | 'server'
  /** Who administers the whole repository: `admins` of the configuration, or the shared secret. */
  | 'repository_admin'
  /** Who administers the homeserver addressed, or the whole repository; `call.administers` says which. */
  | 'homeserver_admin'

export interface AuthParts extends XMatrixParts {
  readonly homeservers: Pick<Homeservers, 'known' | 'whoami' | 'isAdmin'>
  readonly serverLimits: Pick<ServerLimits, 'admitKeyLookup'>
  readonly requestLimits: Pick<RequestLimits, 'admitToken' | 'countWrongToken'>
}

/** Finds out who calls, and refuses whoever may not call a route for `who`. Comes before everything else about a request. */
export async function authenticate(parts: AuthParts, call: Call, who: Who): Promise<void> {
  if (who === 'anyone' || who === 'optional') return
  if (who === 'server') {
    call.caller = await identifyServer(parts, receivedRequest(parts, call))
    return
  }
  const credentials = requireCredentials(call)
  call.caller = known(parts, call, credentials) ?? (await askWhose(parts, call, credentials))
  if (who === 'user_or_guest') return
  if (call.caller.kind === 'user' && call.caller.isGuest) throw new Refused('guest', 'Guests cannot use this endpoint')
  if (who !== 'user') call.administers = await requireAdministrator(parts, call, who)
}

/** The homeserver is asked only where its word counts, and of nobody who administers the repository. */
async function requireAdministrator(
  { homeservers }: AuthParts,
  call: Call,
  who: 'repository_admin' | 'homeserver_admin',
): Promise<Administers> {
  const { main, caller, homeserver } = call
  if (isRepositoryAdmin(main, caller)) return 'repository'
  if (who === 'repository_admin') {
    throw new Refused('forbidden', 'Only administrators of the repository (admins) may use this endpoint')
  }
  if (await homeservers.isAdmin(homeserver, caller, call)) return 'homeserver'
  const { name } = homeserver
  throw new Refused('forbidden', `Only administrators of ${name} or of the repository (admins) may use this endpoint`)
}

/**
 * Who calls a route with an optional token. A token that is no good is as none; a homeserver that cannot say whether it is
 * good is an error, because the answer would be wrong.
 */
export async function identifyIfPossible(parts: AuthParts, call: Call): Promise<Caller> {
  if (call.caller.kind !== 'anonymous') return call.caller
  const credentials = credentialsOf(call)
  if (!credentials) return anonymous
  try {
    call.caller = known(parts, call, credentials) ?? (await askWhose(parts, call, credentials))
  } catch (error) {
    const noGood =
      error instanceof RefusedByHomeserver || (error instanceof Refused && error.reason === 'unknown_token')
    if (!noGood) throw error
  }
  return call.caller
}

/** The configuration of the homeserver that a signed request is for, if it says so and it is one of ours. */
export function signedFor(snapshot: Snapshot, request: IncomingMessage): HomeserverConfig | undefined {
  const destination = destinationOf(request.rawHeaders)
  if (destination === undefined) return undefined
  const homeserver = snapshot.forHost(destination)
  return homeserver && isSameServer(homeserver.name, destination) ? homeserver : undefined
}

function receivedRequest({ serverLimits }: AuthParts, call: Call): ReceivedRequest {
  const { method = '', url: target = '', rawHeaders } = call.request
  return {
    method,
    target,
    rawHeaders,
    homeserver: call.homeserver.name,
    signal: call.signal,
    refuseOrigin: (origin) => refuseOrigin(call, origin),
    beforeAsking: () => serverLimits.admitKeyLookup(call.address),
  }
}

/** Servers whose media nobody gets here get none of ours, and are not even asked for their keys. */
function refuseOrigin({ isHostAllowed }: Call, origin: string): void {
  if (!isHostAllowed(origin)) throw new Refused('forbidden', `${origin} gets no media here`)
}

/** Asks the homeserver whose token it is. Tokens that are nobody's count for the address that sends them. */
async function askWhose(parts: AuthParts, call: Call, credentials: Credentials): Promise<Caller> {
  parts.requestLimits.admitToken(call)
  try {
    return await parts.homeservers.whoami(call.homeserver, credentials, call)
  } catch (error) {
    if (error instanceof RefusedByHomeserver) parts.requestLimits.countWrongToken(call)
    throw error
  }
}

/** Whether the request has a token that is known without asking, and the limits are not for whose it is. */
export function isKnownToBeExempt(parts: AuthParts, call: Call): boolean {
  const credentials = credentialsOf(call)
  try {
    const caller = credentials && known(parts, call, credentials)
    return caller !== undefined && isExempt(caller)
  } catch (error) {
    // A token that is nobody's: whoever asks next says so.
    if (error instanceof Refused || error instanceof RefusedByHomeserver) return false
    throw error
  }
}

function known(parts: AuthParts, call: Call, credentials: Credentials): Caller | undefined {
  const admin = sharedSecretCaller(call.main.sharedSecretAuth, credentials.token)
  return admin ?? parts.homeservers.known(call.homeserver, credentials)
}

/** Whether the caller administers the whole repository: listed in `admins`, or holding the shared secret. */
export function isRepositoryAdmin(main: MainConfig, caller: Caller): boolean {
  if (caller.kind === 'shared_secret') return true
  const userId = userIdOf(caller)
  return userId !== undefined && main.admins.includes(userId)
}

/** The token a request came with, or `missing_token`. */
export function requireCredentials(call: Call): Credentials {
  const credentials = credentialsOf(call)
  if (!credentials) throw new Refused('missing_token', 'no token provided (required)')
  return credentials
}

/** `Authorization: Bearer`, or, where the configuration allows it, `?access_token=`; with it what an appservice asserts. */
function credentialsOf(call: Call): Credentials | undefined {
  const token = tokenOf(call)
  if (!token) return undefined
  const { url = '' } = call.request
  const mayAssert = url.includes('?') && (url.includes('_id') || url.includes('%'))
  if (!mayAssert) return { token }
  return {
    token,
    userId: call.query.get('user_id') ?? undefined,
    deviceId: call.query.get('device_id') ?? call.query.get('org.matrix.msc3202.device_id') ?? undefined,
  }
}

function tokenOf(call: Call): string | undefined {
  const { authorization } = call.request.headers
  if (authorization !== undefined) return /^Bearer +(\S+) *$/i.exec(authorization)?.[1]
  if (!call.main.repo.allowQueryToken) return undefined
  return call.query.get('access_token') ?? undefined
}
