import { expect, test } from 'vitest'
import { ConfigError } from '../lib/errors.ts'
import { parseOffload } from './offload.ts'

const FILE = { location: 'a b/ü%?x', path: '/srv/a b/ü%?x' }

test('nginx is told the location below its internal path, percent-encoded', () => {
  const value = '/internal/a%20b/%C3%BC%25%3Fx'
  expect(parseOffload('nginx:/internal/', 'main')?.(FILE)).toEqual({ header: 'X-Accel-Redirect', value })
  expect(parseOffload('nginx:/', 'main')?.(FILE).value).toBe('/a%20b/%C3%BC%25%3Fx')
})

test('others are told the path of the file, byte by byte', () => {
  const { header, value = '' } = parseOffload('sendfile', 'main')?.(FILE) ?? {}
  expect(header).toBe('X-Sendfile')
  expect(Buffer.from(value, 'latin1').toString()).toBe(FILE.path)
})

test('nothing configured is no offload', () => {
  expect(parseOffload('', 'main')).toBeUndefined()
  expect(parseOffload(undefined, 'main')).toBeUndefined()
})

test.each(['nginx', 'nginx:', 'nginx:internal/', 'nginx:/internal', 'Sendfile', 'true'])('%s is refused', (option) => {
  expect(() => parseOffload(option, 'main')).toThrow(ConfigError)
})
