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
  /** Where an OAuth 2.0 server tells it instead; nowhere if the endpoint is empty or nothing is said. */
  readonly introspection?: IntrospectionOptions
  readonly timeouts: { readonly clientServerTimeoutSeconds: number }
  readonly accessTokens: AccessTokenOptions
}

/** How to ask about tokens. Source: RFC 7662. */
export interface IntrospectionOptions {
  readonly endpoint: string
  /** Empty: the secret is sent as a token, which Matrix Authentication Service takes from homeservers. */
  readonly clientId: string
  readonly clientSecret: string
  /** A token with one of these is an administrator's. */
  readonly scopes: readonly string[]
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
