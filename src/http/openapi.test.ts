import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { adminManual } from './manual.ts'
import { openApi } from './openapi.ts'
import type { JsonSchema } from './parameters.ts'
import { routes } from './routes.ts'

const byText = (a = '', b = '') => a.localeCompare(b)

const document = openApi(routes) as {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly operationId: string
            readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: JsonSchema }[]
          }
        >
      >
    >
  >
}

test('Every path with a place for a parameter describes it, and no other', () => {
  for (const [path, operations] of Object.entries(document.paths)) {
    const places = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => name)
    for (const { parameters } of Object.values(operations)) {
      expect(
        parameters
          .filter((one) => one.in === 'path')
          .map((one) => one.name)
          .toSorted(byText),
        path,
      ).toEqual(places.toSorted(byText))
    }
  }
})

test('All of the administration is described, each operation under a name of its own', () => {
  const admin = routes.filter(
    (route) => route.paths.some((path) => path.includes('/admin/')) && route.action !== 'openapi',
  )
  expect(admin.filter((route) => !route.description).map((route) => route.action)).toEqual([])
  const names = Object.values(document.paths).flatMap((operations) =>
    Object.values(operations).map((one) => one.operationId),
  )
  expect(new Set(names).size).toBe(names.length)
})

test('What a route refuses stands there by status, with its Matrix codes', () => {
  expect(document.paths['/_matrix/media/unstable/admin/tasks/{taskId}']?.['get']).toMatchObject({
    responses: {
      400: { description: 'M_INVALID_PARAM, M_MISSING_PARAM, M_UNKNOWN' },
      403: {},
      404: { description: 'M_NOT_FOUND' },
    },
  })
})

test('The document is one of OpenAPI 3.1, and its schemas are such', async () => {
  const copy = () => JSON.parse(JSON.stringify(document)) as Record<string, unknown>
  expect(await new Validator().validate(copy())).toMatchObject({ valid: true })
  expect(await new Validator().validate({ ...copy(), paths: 'none' })).toMatchObject({ valid: false })

  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  const operations = Object.values(document.paths).flatMap((one) => Object.values(one))
  for (const { schema } of operations.flatMap(({ parameters }) => parameters)) {
    const isRight = ajv.compile(schema)
    if (schema['default'] !== undefined) expect(isRight(schema['default']), JSON.stringify(schema)).toBe(true)
  }
})

test('docs/admin-api.md is what the table of routes says', async () => {
  const committed = await readFile(new URL('../../docs/admin-api.md', import.meta.url), 'utf8')
  expect(committed, 'run: node scripts/generate-admin-docs.ts').toBe(adminManual(routes))
})
