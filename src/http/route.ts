import type { Answer } from './answers.ts'
import type { Who } from './auth.ts'
import type { Call } from './call.ts'
import type { Description } from './described.ts'
import type { HttpParts } from './parts.ts'

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'

export interface Route {
  /** What metrics and logs call it: MMR's names. */
  readonly action: string
  readonly methods: readonly Method[]
  readonly paths: readonly string[]
  readonly who: Who
  readonly handler: (parts: HttpParts, call: Call) => Promise<Answer>
  /** What the API's document says of it; absent: it is the specification's. */
  readonly description?: Description
  /** Which limits of `rateLimit` do not count here: any, or that on requests of one address to one path. */
  readonly limits?: 'none' | 'caller only'
  /** People open it in a browser: where it is refused, a browser gets a page in place of JSON. */
  readonly forPeople?: true
  /** Answers whatever the Host is, also one that is not configured. */
  readonly anyHost?: true
}

export const GET: readonly Method[] = ['GET']
export const GET_HEAD: readonly Method[] = ['GET', 'HEAD']
export const POST: readonly Method[] = ['POST']
export const PUT: readonly Method[] = ['PUT']
export const DELETE: readonly Method[] = ['DELETE']

/** MMR's own endpoints, under both of its prefixes. */
export const own = (...paths: readonly string[]) =>
  paths.flatMap((path) => ['', 'io.t2bot.media/'].map((prefix) => `/_matrix/media/unstable/${prefix}${path}`))
