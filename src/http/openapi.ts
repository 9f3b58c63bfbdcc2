import { VERSION } from '../lib/version.ts'
import { type Reason, Refused } from '../lib/errors.ts'
import type { Description } from './described.ts'
import { errorAnswer } from './errors.ts'
import type { JsonSchema, Parameter, Shape } from './parameters.ts'
import type { Route } from './route.ts'

/** What every described route may be refused for, by who may call it. */
const FOR_ALL: readonly Reason[] = ['bad_parameter', 'missing_parameter', 'unknown_host', 'storage_unavailable']
const WITH_TOKEN: readonly Reason[] = ['missing_token', 'unknown_token', 'guest', 'forbidden', 'homeserver_unavailable']

/** The document of all described routes. Source: OpenAPI Specification 3.1.1. */
export function openApi(routes: readonly Route[]): JsonSchema {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const { description } = route
    if (!description) continue
    for (const [index, path] of route.paths.entries()) {
      const name = path.replaceAll(/:(\w+)/g, '{$1}')
      for (const method of route.methods) {
        const operation = operationOf(route, description, `${route.action}_${method.toLowerCase()}_${index}`)
        paths[name] = { ...paths[name], [method.toLowerCase()]: operation }
      }
    }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Cellarium: administration',
      version: VERSION,
      description: 'What the Matrix specification has no endpoints for. Times are in milliseconds since 1970.',
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'An access token of the homeserver, or the shared secret.',
        },
      },
      schemas: { Error: ERROR },
    },
  }
}

const ERROR: JsonSchema = {
  type: 'object',
  properties: {
    errcode: { type: 'string', description: 'As in the specification.' },
    error: { type: 'string', description: 'A sentence for people.' },
    mr_errcode: { type: 'string', description: "matrix-media-repo's own code." },
    retry_after_ms: { type: 'integer', description: 'When trying again makes sense.' },
  },
  required: ['errcode', 'error'],
}

function operationOf(route: Route, description: Description, operationId: string): JsonSchema {
  const { summary, details, chapter, path = {}, query = {}, body, answer, refusals = [] } = description
  const reasons = [...FOR_ALL, ...(route.who === 'anyone' ? [] : WITH_TOKEN), ...refusals]
  return {
    operationId,
    summary,
    ...(details === undefined ? {} : { description: details }),
    tags: [chapter],
    ...(route.who === 'anyone' ? { security: [] } : {}),
    parameters: [...parametersIn('path', path), ...parametersIn('query', query)],
    ...(body ? { requestBody: { required: true, content: { 'application/json': { schema: body } } } } : {}),
    responses: {
      200: { description: 'Done', content: { 'application/json': { schema: answer } } },
      ...Object.fromEntries(refusalsByStatus(reasons)),
    },
  }
}

function parametersIn(where: 'path' | 'query', shape: Shape): JsonSchema[] {
  return Object.entries(shape).map(
    ([name, { description, schema, fallback, isList }]: [string, Parameter<unknown>]) => ({
      name,
      in: where,
      description,
      required: where === 'path' || fallback === undefined,
      schema,
      ...(isList ? { style: 'form', explode: true } : {}),
    }),
  )
}

function refusalsByStatus(reasons: readonly Reason[]): Map<string, JsonSchema> {
  const answers = reasons.map((reason) => errorAnswer(new Refused(reason, '')))
  const byStatus = Map.groupBy(answers, ({ status }) => String(status))
  const content = { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } }
  return new Map(
    [...byStatus].map(([status, same]) => {
      const codes = new Set(same.map(({ body }) => (body as { readonly errcode: string }).errcode))
      return [status, { description: [...codes].join(', '), content }]
    }),
  )
}
