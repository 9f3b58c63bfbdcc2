import fc from 'fast-check'
import { expect, test } from 'vitest'

import { redact, redactUrl } from './redact.ts'
import { withoutNames } from './telemetry.ts'

const SECRET = 'syt_c2VjcmV0_x'

test.each([
  `/_matrix/media/v3/upload?access_token=${SECRET}&filename=a.png`,
  `/upload?filename=a.png&access_token=${SECRET}`,
  `/upload?ACCESS_TOKEN=${SECRET}`,
  `/upload?access%5Ftoken=${SECRET}`,
  `/upload?%61%63%63%65%73%73%5f%74%6f%6b%65%6e=${SECRET}`,
  `/upload?access_token%3D${SECRET}`,
  `/preview_url?url=https%3A%2F%2Fexample.org%2F%3Faccess_token%3D${SECRET}`,
  `/preview_url?url=https%253A%252F%252Fexample.org%252F%253Faccess%255Ftoken%253D${SECRET}`,
  `/upload;access_token=${SECRET}`,
  `/upload;access_token=${SECRET}?filename=a.png`,
])('the token in %s is not logged', (path) => {
  expect(redactUrl(path)).not.toContain(SECRET)
  expect(redact(path)).not.toContain(SECRET)
})

test('the rest of the path and query stays readable', () => {
  const path = `/_matrix/media/v3/upload?access_token=${SECRET}&filename=holiday%20photo.png#top`
  expect(redactUrl(path)).toBe('/_matrix/media/v3/upload?access_token=[redacted]&filename=holiday%20photo.png#top')
})

test('a path without a token is not changed', () => {
  const path = '/_matrix/media/v3/thumbnail/example.org/abc?width=320&height=240&method=scale'
  expect(redactUrl(path)).toBe(path)
  expect(redact(path)).toBe(path)
})

test('the name of the token is recognised however its letters are percent-encoded', () => {
  const letters = 'access_token'.split('').map((letter) => {
    const hex = letter.charCodeAt(0).toString(16)
    return fc.constantFrom(letter, `%${hex}`, `%${hex.toUpperCase()}`, `%25${hex}`, letter.toUpperCase())
  })
  fc.assert(
    fc.property(fc.tuple(...letters), fc.constantFrom('=', '%3D', '%253d'), (name, equals) => {
      const path = `/upload?a=b&${name.join('')}${equals}${SECRET}&c=d`
      expect(redactUrl(path)).not.toContain(SECRET)
      expect(redact(path)).not.toContain(SECRET)
      expect(redactUrl(path)).toContain('&c=d')
    }),
  )
})

test.each([
  { headers: { authorization: `Bearer ${SECRET}` } },
  { headers: { Authorization: [`Bearer ${SECRET}`] } },
  { headers: { 'proxy-authorization': `Basic ${SECRET}` } },
  { headers: { cookie: `session=${SECRET}` } },
  { authorization: `X-Matrix origin="a",destination="b",key="ed25519:1",sig="${SECRET}"` },
  { note: `got X-Matrix origin=a,key="ed25519:1",sig="${SECRET}" from a` },
  { err: { message: `401 for Bearer ${SECRET}` } },
  { sharedSecretAuth: { enabled: true, token: SECRET } },
  { body: JSON.stringify({ access_token: SECRET, user: 'a' }) },
  { body: JSON.stringify({ password: SECRET, user: 'a' }) },
  { opts: { accessSecret: SECRET, secretAccessKey: SECRET } },
  { dsn: `postgres://cellarium:${SECRET}@db.example.org/media` },
])('a log line with %j keeps the secret to itself and stays JSON', (fields) => {
  const line = redact(JSON.stringify(fields))
  expect(line).not.toContain(SECRET)
  expect(JSON.parse(line)).toBeTypeOf('object')
})

test('a line about tokens in general is still readable', () => {
  const line = JSON.stringify({ msg: 'the token cache has 12 tokens', user: '@a:example.org', tokens: 12 })
  expect(redact(line)).toBe(line)
})

test('redacting any JSON leaves JSON', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom('token', 'authorization', 'password', 'x'), (json, key) => {
      const line = JSON.stringify({ [key]: JSON.parse(json), text: json, access_token: json })
      expect(() => JSON.parse(redact(line))).not.toThrow()
    }),
  )
})

const PIECES = [
  'x-matrix ',
  'sig=',
  '%25',
  '%',
  'bearer ',
  '"token',
  '\\\\"token',
  '://a:',
  '@',
  ':',
  "'",
  'a.',
  '/a',
  '::a',
  'access_token',
]

test('nobody can keep the server busy with a request that is slow to redact', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 4 }), (pieces) => {
      const unit = pieces.join('')
      const text = `token ${unit.repeat(100_000 / unit.length)}`
      const start = performance.now()
      redact(text)
      redactUrl(text)
      withoutNames(text)
      expect(performance.now() - start).toBeLessThan(1_000)
    }),
  )
})
