import { VERSION } from '../lib/version.ts'
import { type Reason, Refused } from '../lib/errors.ts'
import type { Description } from './described.ts'
import { errorAnswer } from './errors.ts'
import type { JsonSchema, Parameter, Shape } from './parameters.ts'
import { callersOf } from './rights.ts'
import type { Route } from './route.ts'

/** What described routes may be refused for, by what they take and who may call them. */
const PARAMETERS: readonly Reason[] = ['bad_parameter', 'missing_parameter', 'bad_request']
const BODY: readonly Reason[] = ['too_large']
const HOST: readonly Reason[] = ['unknown_host']
const LIMITS: readonly Reason[] = ['limited']
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
  const { summary, details, chapter, path = {}, query = {}, body, sends, deprecated } = description
  return {
    operationId,
    summary,
    description: [details, `For: ${callersOf(route)}.`].filter((one) => one !== undefined).join('\n\n'),
    tags: [chapter],
    ...(deprecated ? { deprecated } : {}),
    ...(route.who === 'anyone' ? { security: [] } : {}),
    parameters: [...parametersIn('path', path), ...parametersIn('query', query)],
    ...(body ? { requestBody: { required: true, content: { 'application/json': { schema: bodyOf(body) } } } } : {}),
    ...(sends
      ? {
          requestBody: {
            required: true,
            content: { [sends]: { schema: { type: 'string', format: 'binary', minLength: 1 } } },
          },
        }
      : {}),
    responses: {
      200: answerOf(description),
      ...Object.fromEntries(refusalsByStatus(reasonsOf(route))),
      ...(Object.keys(query).length > 0 ? { 431: TOO_LONG } : {}),
    },
  }
}

function answerOf({ answer, answerType = 'application/json', linksToMore }: Description): JsonSchema {
  const link = { description: 'Where there is more: the address that goes on, with `rel="next"` (RFC 8288).' }
  return {
    description: 'Done',
    ...(linksToMore ? { headers: { Link: { ...link, schema: { type: 'string' } } } } : {}),
    content: { [answerType]: { schema: answer } },
  }
}

/** What counts as not given where it is empty says so: `allowEmptyValue`. */
function parametersIn(where: 'path' | 'query', shape: Shape): JsonSchema[] {
  return Object.entries(shape).map(
    ([name, { description, schema, fallback, isList, refusesEmpty }]: [string, Parameter<unknown>]) => ({
      name,
      in: where,
      description,
      required: where === 'path' || fallback === undefined,
      schema,
      ...(where === 'query' && fallback && !refusesEmpty && !isList ? { allowEmptyValue: true } : {}),
      ...(isList ? { style: 'form', explode: true } : {}),
    }),
  )
}

function bodyOf(shape: Shape): JsonSchema {
  const members = Object.entries(shape) as [string, Parameter<unknown>][]
  return {
    type: 'object',
    properties: Object.fromEntries(
      members.map(([name, { schema, description }]) => [name, { ...schema, description }]),
    ),
    required: members.filter(([, { fallback }]) => !fallback).map(([name]) => name),
  }
}

/** What a route may be refused for. */
function reasonsOf({ who, limits, anyHost, description }: Route): readonly Reason[] {
  const { path, query, body, refusals = [] } = description ?? {}
  return [
    ...(path || query || body ? PARAMETERS : []),
    ...(body ? BODY : []),
    ...(anyHost ? [] : HOST),
    ...(limits === 'none' ? [] : LIMITS),
    ...(who === 'anyone' ? [] : WITH_TOKEN),
    ...refusals,
    'storage_unavailable',
  ]
}

/** The homeserver's own refusals are passed on as these, with whatever code it gives. */
const PASSED_ON: ReadonlySet<string> = new Set(['401', '403', '404'])

/** The refusals of a route's own, in short: status and code. */
export function ownRefusals({ description }: Route): string[] {
  const answers = (description?.refusals ?? []).map((reason) => errorAnswer(new Refused(reason, '')))
  const texts = answers.map(({ status, body }) => `${status} \`${(body as { readonly errcode: string }).errcode}\``)
  return [...new Set(texts)]
}

function refusalsByStatus(reasons: readonly Reason[]): Map<string, JsonSchema> {
  const answers = reasons.map((reason) => errorAnswer(new Refused(reason, '')))
  const byStatus = Map.groupBy(answers, ({ status }) => String(status))
  return new Map(
    [...byStatus].map(([status, same]) => {
      const codes = [...new Set(same.map(({ body }) => (body as { readonly errcode: string }).errcode))]
      const errcode = PASSED_ON.has(status) ? { examples: codes } : { enum: codes }
      const schema = { allOf: [{ $ref: '#/components/schemas/Error' }, { properties: { errcode } }] }
      const retry = RETRIED.has(status) ? { headers: { 'Retry-After': RETRY_AFTER } } : {}
      return [status, { description: codes.join(', '), ...retry, content: { 'application/json': { schema } } }]
    }),
  )
}

/** Said before it is known which route is asked for (`unreadableMessage`). */
const TOO_LONG: JsonSchema = {
  description: 'The address and the headers have more than 16 KiB together.',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
}

const RETRIED: ReadonlySet<string> = new Set(['429', '503'])
const RETRY_AFTER: JsonSchema = {
  description: 'In how many seconds trying again makes sense.',
  schema: { type: 'integer' },
}
