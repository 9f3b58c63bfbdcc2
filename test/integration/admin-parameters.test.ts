/** Every parameter of the administration, left out or wrong: the refusal names it. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Parameter, Shape } from '../../src/http/parameters.ts'
import type { Route } from '../../src/http/route.ts'
import { routes } from '../../src/http/routes.ts'
import { type Answered, startApp, type TestApp } from '../support/app.ts'

const ADMIN = { token: 'syt_admin_Lw2g', userId: '@admin:example.org', admin: true }
const ajv = new Ajv2020({ strict: false, validateFormats: false })

interface Asked {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly body: Readonly<Record<string, unknown>>
}

let app: TestApp
beforeAll(async () => {
  app = await startApp({ config: { admins: [ADMIN.userId] } })
  app.homeserver.addUser(ADMIN)
})
afterAll(() => app[Symbol.asyncDispose]())

const described = routes.filter(({ description, who }) => description && who !== 'anyone')
const parametersOf = (shape: Shape | undefined) => Object.entries(shape ?? {}) as [string, Parameter<unknown>][]
const itemOf = ({ schema }: Parameter<unknown>) => (schema['type'] === 'array' ? schema['items'] : schema) as object
const isNumber = (schema: object) => 'type' in schema && schema.type === 'integer'

/** As a program that goes by the document would read a text. */
const asRead = (schema: object, text: string) => (isNumber(schema) && /^-?\d+$/.test(text) ? Number(text) : text)

const CANDIDATES = ['x', '-1', '1.5', '9007199254740993', '100001', 'a b', 'a..b', 'NUL\0', 'x'.repeat(1025)]

/** What the schema has no room for. */
const wrongFor = (parameter: Parameter<unknown>) => {
  const schema = itemOf(parameter)
  const isRight = ajv.compile(schema)
  return CANDIDATES.filter((text) => !isRight(asRead(schema, text)))
}

/** What does for a parameter, whether or not there is such a thing. */
function rightFor(parameter: Parameter<unknown>): string {
  const schema = itemOf(parameter) as { readonly examples?: readonly string[]; readonly enum?: readonly string[] }
  return schema.examples?.[0] ?? schema.enum?.[0] ?? '1'
}

const fillPath = (path: string, values: Readonly<Record<string, string>>) =>
  path.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(values[name] ?? ''))

/** A request with which nothing is wrong, but for what `changes` says; undefined: left out. */
function request(route: Route, method: string, path: string, changes: Readonly<Record<string, unknown>>): Asked {
  const { description } = route
  const given = (shape: Shape | undefined) =>
    parametersOf(shape)
      .filter(([name, { fallback }]) => !fallback || changes[name] !== undefined)
      .map(([name, parameter]): [string, unknown] => [name, name in changes ? changes[name] : rightFor(parameter)])
      .filter(([, value]) => value !== undefined)
  const texts = (shape: Shape | undefined) =>
    given(shape).map(([name, value]): [string, string] => [name, String(value)])
  return {
    method,
    path: fillPath(path, Object.fromEntries(texts(description?.path))),
    query: new URLSearchParams(texts(description?.query)),
    body: Object.fromEntries(given(description?.body)),
  }
}

async function send({ method, path, query, body }: Asked): Promise<Answered> {
  const hasBody = Object.keys(body).length > 0 || method === 'POST'
  return await app.ask(`${path}?${query.toString()}`, {
    method,
    token: ADMIN.token,
    ...(hasBody ? { body: JSON.stringify(body) } : {}),
  })
}

async function expectRefusal(asked: Asked, name: string, errcode: string): Promise<void> {
  const { status, json } = await send(asked)
  const what = `${asked.method} ${asked.path}?${asked.query.toString()} ${JSON.stringify(asked.body)}`
  expect([status, json['errcode']], `${what}: ${JSON.stringify(json)}`).toEqual([400, errcode])
  expect(String(json['error']).split(' '), what).toContain(name)
}

interface Row {
  readonly route: Route
  readonly method: string
  readonly path: string
}

const rows = described.flatMap((route) =>
  route.methods.flatMap((method) => route.paths.map((path): Row => ({ route, method, path }))),
)

const shapesOf = ({ description: of }: Route) => [of?.path, of?.query, of?.body].flatMap(parametersOf)
const withParameters = rows.filter(({ route }) => shapesOf(route).length > 0)
const neededBy = ({ description: of }: Route) =>
  [of?.query, of?.body].flatMap(parametersOf).filter(([, { fallback }]) => !fallback)

test.each(withParameters)('$method $path refuses each parameter that is wrong, by its name', async (row) => {
  const { route, method, path } = row
  for (const [name, parameter] of shapesOf(route)) {
    const wrong = wrongFor(parameter)
    expect(wrong, `nothing here is wrong for ${name}`).not.toEqual([])
    for (const value of wrong) {
      await expectRefusal(request(route, method, path, { [name]: value }), name, 'M_INVALID_PARAM')
    }
  }
  for (const [name] of parametersOf(route.description?.body)) {
    for (const value of [1, null, true, [], {}]) {
      await expectRefusal(request(route, method, path, { [name]: value }), name, 'M_INVALID_PARAM')
    }
  }
})

const withNeeded = rows.filter(({ route }) => neededBy(route).length > 0)

test.each(withNeeded)('$method $path names each parameter that has to be there', async ({ route, method, path }) => {
  for (const [name] of neededBy(route)) {
    await expectRefusal(request(route, method, path, { [name]: undefined }), name, 'M_MISSING_PARAM')
  }
})

test('None of the parameters is left out of this', () => {
  expect(rows.length).toBeGreaterThan(100)
  const names = new Set(rows.flatMap(({ route }) => shapesOf(route).map(([name]) => name)))
  expect(names).toContain('before_ts')
  expect(names).toContain('purpose')
})
