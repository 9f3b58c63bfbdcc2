/** Holds answers of the administration against what the API's document says of them. */
import { type AnySchemaObject, type ValidateFunction, Ajv2020 } from 'ajv/dist/2020.js'
import { openApi } from '../../src/http/openapi.ts'
import type { JsonSchema } from '../../src/http/parameters.ts'
import { makeRouter } from '../../src/http/router.ts'
import { routes } from '../../src/http/routes.ts'

interface Response {
  readonly content: { readonly 'application/json'?: { readonly schema: JsonSchema } }
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: Record<string, Response> }>>>>
  readonly components: { readonly schemas: { readonly Error: JsonSchema } }
}

interface Told {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly json: unknown
}

const document = openApi(routes) as unknown as Document
const router = makeRouter(routes)
const ajv = new Ajv2020({ allErrors: true, strict: false, validateFormats: false })
ajv.addSchema({ $id: 'https://document.invalid/', components: document.components })
const validators = new Map<string, ValidateFunction>()

/** @throws {Error} where an answer of a described route has another status or other members than the document says */
export function expectAsDescribed({ method, path, status, json }: Told): void {
  const responses = responsesFor(method, path)
  if (!responses) return
  const response = responses.answers[String(status)]
  if (!response) throw new Error(`${method} ${path}: the document has no answer ${status}: ${JSON.stringify(json)}`)
  const described = response.content['application/json']
  if (!described && json === undefined) return
  if (!described) throw new Error(`${method} ${path}: answered JSON where the document says another type`)
  const validate = validatorOf(`${responses.name} ${status}`, described.schema, status)
  if (validate(json)) return
  throw new Error(`${method} ${path}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(json)}`)
}

function responsesFor(method: string, path: string) {
  const route = routeOf(method, path)
  if (!route?.description) return undefined
  // All paths of a route have the same answers.
  const [first = ''] = route.paths
  const answers = document.paths[first.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]?.responses
  return answers && { name: `${method} ${first}`, answers }
}

function routeOf(method: string, path: string) {
  try {
    return router.find(method, path).route
  } catch {
    // None, or none for this method: the document says nothing of it.
    return undefined
  }
}

function validatorOf(name: string, schema: JsonSchema, status: number): ValidateFunction {
  const known = validators.get(name)
  if (known) return known
  // Clients may meet members that they do not know, so the document leaves objects open; ours all have to be in it.
  const strict = status === 200 ? closed(schema) : withReferences(schema)
  const validate = ajv.compile(strict as AnySchemaObject)
  validators.set(name, validate)
  return validate
}

const withReferences = (schema: JsonSchema): unknown =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/components/', '"https://document.invalid/#/components/'))

function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const members = Object.fromEntries(Object.entries(schema).map(([name, member]) => [name, closed(member)]))
  const isNamed = 'properties' in schema && 'type' in schema
  return isNamed ? { ...members, additionalProperties: false } : members
}
