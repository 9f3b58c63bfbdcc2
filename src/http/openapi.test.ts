import { expect, test } from 'vitest'
import { openApi } from './openapi.ts'
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
            readonly parameters: readonly { readonly name: string; readonly in: string }[]
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
      400: { description: 'M_INVALID_PARAM, M_MISSING_PARAM' },
      403: {},
      404: { description: 'M_NOT_FOUND' },
    },
  })
})
