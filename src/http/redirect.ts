import type { ServerResponse } from 'node:http'
import type { RedirectRules } from '../datastores/datastore.ts'
import { COMMON_HEADERS } from './headers.ts'

/** Who asks for media: a client with a token, whoever uses the older paths, another homeserver. */
export type Endpoint = 'client' | 'legacy' | 'federation'

export interface Asker {
  readonly endpoint: Endpoint
  /** `allow_redirect` of the query, which only the older paths have. */
  readonly allowRedirect: boolean
}

/**
 * Whether who asks may be sent to the datastore's own address for an object. Clients on authenticated paths have to follow;
 * on the older ones only those that say so can. Other homeservers have to, and the administrator knows of those that do not.
 * Sources: specification, "Content repository"; MSC3860; MSC3916.
 */
export function mayRedirect({ endpoint, allowRedirect }: Asker, rules: RedirectRules): boolean {
  if (endpoint === 'federation') return rules.federation
  return endpoint === 'client' || allowRedirect
}

/**
 * Sends the client to `target`. Nobody may keep this answer: the address lives for a minute, and who is allowed the file is
 * decided anew each time.
 */
export function sendRedirect(response: ServerResponse, target: URL, connection: readonly string[]): void {
  response.writeHead(307, [
    ...connection,
    ...COMMON_HEADERS,
    'Location',
    target.href,
    'Content-Length',
    '0',
    'Cache-Control',
    'no-store',
  ])
  response.end()
}
