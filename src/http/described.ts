import type { Reason } from '../lib/errors.ts'
import type { Answer } from './answers.ts'
import type { Call } from './call.ts'
import { type JsonSchema, readParameters, type Shape, type Values } from './parameters.ts'
import type { HttpParts } from './parts.ts'

/** What the API's document says of a route, and what is checked before its handler is called. */
export interface Description<Path extends Shape = Shape, Query extends Shape = Shape> {
  /** One line. */
  readonly summary: string
  readonly details?: string
  /** The chapter of the document that it is in. */
  readonly chapter: string
  readonly path?: Path
  readonly query?: Query
  /** What is sent along, for the document; the handler reads it (`json-body.ts`). */
  readonly body?: JsonSchema
  /** Of the answer with status 200. */
  readonly answer: JsonSchema
  /** Refusals of its own, beside those that every route of its kind has. */
  readonly refusals?: readonly Reason[]
}

export interface Given<Path extends Shape, Query extends Shape> {
  readonly path: Values<Path>
  readonly query: Values<Query>
}

export interface Described {
  readonly description: Description
  readonly handler: (parts: HttpParts, call: Call) => Promise<Answer>
}

/** A handler with its description, for the table of routes: it is called with parameters that are as described. */
export function described<Path extends Shape = {}, Query extends Shape = {}>(
  description: Description<Path, Query>,
  handler: (parts: HttpParts, call: Call, given: Given<Path, Query>) => Promise<Answer>,
): Described {
  const { path = {} as Path, query = {} as Query } = description
  return {
    description,
    handler: async (parts, call) => {
      const given = {
        path: readParameters(path, (name) => [call.param(name)]),
        query: readParameters(query, (name) => call.query.getAll(name)),
      }
      return await handler(parts, call, given)
    },
  }
}
