import { Buffer } from 'node:buffer'
import type { Log } from '../lib/log.ts'
import { errcodeOf } from './client.ts'
import type { Answer, Call, JsonObject } from './client.ts'
import type { Found } from './lookups.ts'
import type { HomeserverOptions, IntrospectionOptions } from './options.ts'

/** How to ask an OAuth 2.0 server about a token. Source: RFC 7662 §2.1; for the login RFC 6749 §2.3.1, or RFC 6750 §2.1. */
export function introspectionQuestion(options: IntrospectionOptions, token: string): Call {
  const { endpoint, clientId, clientSecret } = options
  const authorization = clientId === '' ? `Bearer ${clientSecret}` : `Basic ${basic(clientId, clientSecret)}`
  return {
    method: 'POST',
    path: '',
    elsewhere: { url: endpoint, authorization, form: { token, token_type_hint: 'access_token' } },
  }
}

/**
 * Whether the answer says that the token is an administrator's, for as long as the token lasts and `keepMs` at most. A token
 * that the server does not know (an appservice's, say) is nobody's administrator, and is not dead because of it. A refusal
 * concerns our login, and is logged. Source: RFC 7662 §2.2, §2.3.
 */
export function readIntrospection(
  answer: Answer,
  options: IntrospectionOptions,
  { log, homeserver, keepMs, now }: { log: Log; homeserver: HomeserverOptions; keepMs: number; now: number },
): Found<boolean> {
  const { status, body = {} } = answer
  if (status >= 300) {
    const { name } = homeserver
    const fields = { homeserver: name, endpoint: options.endpoint, status, error: body['error'] ?? errcodeOf(answer) }
    log.warn(fields, 'no token can be looked at: check introspection.endpoint, clientId and clientSecret')
    return { value: false, keepMs }
  }
  const { active, scope } = body
  const scopes = active === true && typeof scope === 'string' ? scope.split(' ') : []
  return { value: scopes.some((one) => options.scopes.includes(one)), keepMs: Math.min(keepMs, lifetimeOf(body, now)) }
}

/** How long the token lasts, in ms: by `exp`, or as Matrix Authentication Service says it besides. */
function lifetimeOf({ exp, expires_in: expiresIn }: JsonObject, now: number): number {
  if (typeof exp === 'number') return Math.max(0, exp * 1000 - now)
  return typeof expiresIn === 'number' ? Math.max(0, expiresIn * 1000) : Number.POSITIVE_INFINITY
}

function basic(clientId: string, clientSecret: string): string {
  return Buffer.from([clientId, clientSecret].map(formEncoded).join(':')).toString('base64')
}

function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1)
}
