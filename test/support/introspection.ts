// An OAuth 2.0 server for tests, as far as RFC 7662 goes: it tells whose tokens live, and with which scopes.
import { Buffer } from 'node:buffer'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'

export interface LiveToken {
  readonly token: string
  readonly scope: string
  readonly username?: string
  /** False: it has ended, and the server says more of it than it has to. */
  readonly active?: boolean
  /** In seconds since 1970. */
  readonly exp?: number
  /** In seconds from now. */
  readonly expires_in?: number
}

export interface IntrospectionDouble extends AsyncDisposable {
  /** What to configure as `introspection.endpoint`. */
  readonly endpoint: string
  readonly requests: readonly { readonly headers: IncomingHttpHeaders; readonly form: URLSearchParams }[]
  add(token: LiveToken): void
  /** Answers with this status from now on. */
  fail(status: number): void
}

/** Whoever asks has to log in by one of these (RFC 7662 §2.1). */
const LOGINS = [`Basic ${Buffer.from('cellarium:s%3Acret%2B%25').toString('base64')}`, 'Bearer the_homeservers_secret']
export const CLIENT = { clientId: 'cellarium', clientSecret: 's:cret+%' }
export const HOMESERVER = { clientId: '', clientSecret: 'the_homeservers_secret' }

export async function startIntrospection(): Promise<IntrospectionDouble> {
  const live = new Map<string, LiveToken>()
  const requests: { headers: IncomingHttpHeaders; form: URLSearchParams }[] = []
  let failing = 0
  const answer = (headers: IncomingHttpHeaders, form: URLSearchParams): [number, object] => {
    if (failing > 0) return [failing, { error: 'server_error' }]
    if (!LOGINS.includes(headers.authorization ?? '')) return [401, { error: 'invalid_client' }]
    const found = live.get(form.get('token') ?? '')
    // §2.2: whatever is wrong with a token, the answer says no more than this.
    return [200, found ? { active: true, token_type: 'access_token', ...found, token: undefined } : { active: false }]
  }
  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const form = new URLSearchParams(Buffer.concat(chunks).toString())
    requests.push({ headers: request.headers, form })
    const [status, body] = answer(request.headers, form)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  const server = createServer((request, response) => void respond(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/oauth2/introspect`,
    requests,
    add: (token) => void live.set(token.token, token),
    fail: (status) => void (failing = status),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
