import { expect, test } from 'vitest'
import { makeRouter } from './router.ts'
import { routes } from './routes.ts'

const router = makeRouter(routes)
const found = (method: string, target: string) => router.find(method, target).route.action

test('A word in a path stands before a place for any', () => {
  expect(found('GET', '/_matrix/media/unstable/admin/tasks/all')).toBe('list_all_background_tasks')
  expect(found('GET', '/_matrix/media/unstable/admin/tasks/7')).toBe('get_background_task')
  expect(found('DELETE', '/_matrix/media/unstable/admin/tasks/7')).toBe('cancel_background_task')
})

test.for([
  ['DELETE', '/_matrix/media/unstable/admin/tasks/all', ['GET', 'OPTIONS']],
  ['DELETE', '/_matrix/media/unstable/io.t2bot.media/admin/tasks/unfinished', ['GET', 'OPTIONS']],
  ['GET', '/_synapse/admin/v1/media/protect/abc', ['POST', 'OPTIONS']],
] as const)('%s %s is refused, although a path with a place for the word has that method', ([method, path, allow]) => {
  expect(() => router.find(method, path)).toThrow(
    expect.objectContaining({ reason: 'wrong_method', options: { allow: [...allow] } }),
  )
})

test('An address that cannot be decoded is no missing one', () => {
  expect(() => router.find('DELETE', '/_matrix/media/unstable/admin/tasks/%ff')).toThrow(
    expect.objectContaining({ reason: 'bad_request' }),
  )
})
