/** What Cellarium needs to know of a homeserver to talk to it; the keys are MMR's. */
export interface HomeserverOptions {
  /** Its server name, as in the user ids of its users. */
  readonly name: string
  /** Where its client-server API answers, with or without a path and a trailing slash. */
  readonly csApi: string
  /** After how many failures in a row it is left alone for a while; 0 for never. */
  readonly backoffAt: number
  /** Which API tells who is its administrator. */
  readonly adminApiKind: 'synapse' | 'dendrite' | 'matrix'
  readonly timeouts: { readonly clientServerTimeoutSeconds: number }
  readonly accessTokens: AccessTokenOptions
}

export interface AccessTokenOptions {
  /** How long an answer about a token is used again; 0 for not at all. */
  readonly maxCacheTimeSeconds: number
  /** Whether tokens of the appservices below are answered for without asking the homeserver. */
  readonly useLocalAppserviceConfig: boolean
  readonly appservices: readonly AppserviceOptions[]
}

export interface AppserviceOptions {
  readonly id: string
  readonly asToken: string
  /** The full user id of its bot. */
  readonly senderUserId: string
  readonly userNamespaces: readonly { readonly regex: string }[]
}
