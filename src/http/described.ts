import type { Reason } from '../lib/errors.ts'
import type { Answer } from './answers.ts'
import type { Call } from './call.ts'
import { jsonBody } from './json-body.ts'
import { type JsonSchema, readMembers, readParameters, type Shape, type Values } from './parameters.ts'
import type { HttpParts } from './parts.ts'
import type { Served } from './rights.ts'

/** What the API's document says of a route, and what is checked before its handler is called. */
export interface Description<Path extends Shape = Shape, Query extends Shape = Shape, Body extends Shape = Shape> {
  /** One line. */
  readonly summary: string
  readonly details?: string
  /** The chapter of the document that it is in. */
  readonly chapter: string
  readonly path?: Path
  readonly query?: Query
  /** Members of the JSON object that is sent along. */
  readonly body?: Body
  /** Whom it serves beside administrators of the repository, where the route's `who` does not say all of it. */
  readonly serves?: readonly Served[]
  /** The type of a body that is no JSON. */
  readonly sends?: string
  /** Of the answer with status 200. */
  readonly answer: JsonSchema
  /** The type of that answer, where it is no JSON. */
  readonly answerType?: string
  /** Where there is more, the answer has a `Link` header with `rel="next"`. */
  readonly linksToMore?: true
  readonly deprecated?: true
  /** What the manual's example gives, beside what has to be given; with `$`, a variable of the manual. */
  readonly example?: Readonly<Record<string, string>>
  /** Refusals of its own, beside those that every route of its kind has. */
  readonly refusals?: readonly Reason[]
}

export interface Given<Path extends Shape, Query extends Shape, Body extends Shape = {}> {
  readonly path: Values<Path>
  readonly query: Values<Query>
  /** Reads the body; to be called once, when it is clear that the caller may do at all what it asks for. */
  readonly body: () => Promise<Values<Body>>
}

export interface Described {
  readonly description: Description
  readonly handler: (parts: HttpParts, call: Call) => Promise<Answer>
}

/** A handler with its description, for the table of routes: it is called with parameters that are as described. */
export function described<Path extends Shape = {}, Query extends Shape = {}, Body extends Shape = {}>(
  description: Description<Path, Query, Body>,
  handler: (parts: HttpParts, call: Call, given: Given<Path, Query, Body>) => Promise<Answer>,
): Described {
  const { path = {} as Path, query = {} as Query, body = {} as Body } = description
  return {
    description,
    handler: async (parts, call) => {
      const given = {
        path: readParameters(path, (name) => [call.param(name)]),
        query: readParameters(query, (name) => call.query.getAll(name)),
        body: async () => readMembers(body, await jsonBody(call)),
      }
      return await handler(parts, call, given)
    },
  }
}
