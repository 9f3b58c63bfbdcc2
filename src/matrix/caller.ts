import { sameSecret } from './secrets.ts'

/** A user of the homeserver addressed, as the homeserver or its local appservice list confirmed. */
export interface UserCaller {
  readonly kind: 'user'
  readonly userId: string
  /** The server name in the user id: always the homeserver addressed. */
  readonly serverName: string
  readonly isGuest: boolean
  readonly deviceId?: string | undefined
  /** The access token the request came with; to be used for further calls to this homeserver, never to be logged. */
  readonly token: string
  /** Set when an appservice acts as this user: the `user_id` to send with the token. */
  readonly assertedUserId?: string | undefined
  /** Set when the token is an appservice's of the configuration (`accessTokens.appservices`). */
  readonly isAppservice?: true
}

/** Whoever knows `sharedSecretAuth.token`: an administrator of the repository. */
export interface SharedSecretCaller {
  readonly kind: 'shared_secret'
  readonly userId: '@sharedsecret'
}

/** A request without a token. */
export interface AnonymousCaller {
  readonly kind: 'anonymous'
}

/** Another Matrix server, as the signature of its request proved. */
export interface ServerCaller {
  readonly kind: 'server'
  /** Its server name. */
  readonly origin: string
}

/** Who makes a request. */
export type Caller = UserCaller | SharedSecretCaller | ServerCaller | AnonymousCaller

export const anonymous: AnonymousCaller = { kind: 'anonymous' }

/** MMR's `sharedSecretAuth`. */
export interface SharedSecretOptions {
  readonly enabled: boolean
  readonly token: string
}

/** The caller if the token is the shared secret, else undefined. Compared in constant time; an empty secret is nobody's. */
export function sharedSecretCaller(options: SharedSecretOptions, token: string): SharedSecretCaller | undefined {
  if (!options.enabled || !sameSecret(token, options.token)) return undefined
  return { kind: 'shared_secret', userId: '@sharedsecret' }
}

/** The id to record as uploader or in a log: undefined for anonymous callers and other servers. */
export function userIdOf(caller: Caller): string | undefined {
  return 'userId' in caller ? caller.userId : undefined
}
