import type { Buffer } from 'node:buffer'
import type { Log } from '../lib/log.ts'
import { isUserId, serverOf } from './ids.ts'
import type { AppserviceOptions, HomeserverOptions } from './options.ts'
import { digestOf, isSecret } from './secrets.ts'

/** An access token, and on whose behalf an appservice uses it (specification, "Identity assertion"). */
export interface Credentials {
  readonly token: string
  /** The query parameter `user_id`. */
  readonly userId?: string | undefined
  /** The query parameter `device_id`. */
  readonly deviceId?: string | undefined
}

interface Compiled {
  readonly token: Buffer
  readonly appservice: AppserviceOptions
  readonly namespaces: readonly RegExp[]
}

/** Answers for the tokens of the appservices in the configuration (`accessTokens.appservices`) without the homeserver. */
export class LocalAppservices {
  readonly #log: Log
  readonly #compiled = new WeakMap<readonly AppserviceOptions[], readonly Compiled[]>()

  constructor(log: Log) {
    this.#log = log
  }

  /**
   * The user id that the appservice speaks for, or undefined when the homeserver has to be asked: the token is not in the
   * list, the asserted user is in none of the namespaces (which must match the whole id) or not of this homeserver, or a
   * device is asserted, which only the homeserver knows.
   */
  userOf(homeserver: Pick<HomeserverOptions, 'name' | 'accessTokens'>, credentials: Credentials): string | undefined {
    const { useLocalAppserviceConfig, appservices } = homeserver.accessTokens
    if (!useLocalAppserviceConfig || credentials.deviceId !== undefined) return undefined
    const found = this.#compile(appservices).find(({ token }) => isSecret(credentials.token, token))
    if (!found) return undefined
    const userId = credentials.userId ?? found.appservice.senderUserId
    if (serverOf(userId) !== homeserver.name) return undefined
    const allowed = userId === found.appservice.senderUserId || found.namespaces.some((regex) => regex.test(userId))
    return allowed ? userId : undefined
  }

  #compile(appservices: readonly AppserviceOptions[]): readonly Compiled[] {
    const known = this.#compiled.get(appservices)
    if (known) return known
    const compiled = appservices
      .filter(({ asToken }) => asToken !== '')
      .map((appservice) => ({
        appservice,
        token: digestOf(appservice.asToken),
        namespaces: this.#namespacesOf(appservice),
      }))
    this.#compiled.set(appservices, compiled)
    return compiled
  }

  #namespacesOf(appservice: AppserviceOptions): readonly RegExp[] {
    if (!isUserId(appservice.senderUserId)) {
      this.#log.warn({ appservice: appservice.id }, 'accessTokens.appservices: senderUserId is not a full user id')
    }
    return appservice.userNamespaces.flatMap(({ regex }) => {
      try {
        return [new RegExp(`^(?:${regex})$`)]
      } catch (error) {
        const fields = { appservice: appservice.id, regex, err: error }
        this.#log.warn(
          fields,
          'accessTokens.appservices: a namespace is not a regular expression; its users are left to the homeserver',
        )
        return []
      }
    })
  }
}
