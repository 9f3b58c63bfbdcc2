import { createPublicKey } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  type Fetching,
  KEYLESS,
  MEDIA_ID,
  OURS,
  R0,
  SIGNED,
  startFetching,
  THEIRS,
  V3,
} from '../support/federation-client.ts'
import { byPath, mixed, response, type Script, sending } from '../support/scripted-origin.ts'
import { describeWith } from '../support/services.ts'
import { errorAnswer } from '../../src/http/errors.ts'
import { canonicalJson } from '../../src/matrix/canonical-json.ts'
import { isSignature } from '../../src/matrix/keys/signing-key.ts'
import { refusalOf } from '../../src/matrix/remote-error.ts'
import { readXMatrix } from '../../src/matrix/x-matrix-header.ts'

const FILE = 'the file'
const PLAIN = response(200, FILE, ['Content-Type: text/plain', 'Content-Disposition: inline; filename="a.txt"'])

let fetching: Fetching

/** The signed endpoint says something, and the older ones have the file. */
const signedSays = (...pieces: readonly (string | Uint8Array)[]): Script =>
  byPath({ [SIGNED]: sending(...pieces), [V3]: sending(PLAIN) })

const refusal = (status: number, errcode: string, headers: readonly string[] = []) =>
  response(status, { errcode, error: 'in their words' }, headers)

const html = (status: number) => response(status, '<h1>no</h1>', ['Content-Type: text/html'])

describeWith('openssl', 'A file of another server', () => {
  beforeAll(async () => {
    fetching = await startFetching()
  })
  beforeEach(() => fetching.renew())
  afterAll(() => fetching[Symbol.asyncDispose]())

  test('is asked for with a signature of the homeserver whose user wants it, and not compressed', async () => {
    fetching.theirs.say(sending(mixed(FILE)))
    const file = await fetching.fetch({ timeoutMs: 1234.5 })
    expect(file).toMatchObject({ contentType: 'image/png', fileName: 'picture.png', size: undefined })
    expect(file.bytes.toString()).toBe(FILE)
    const { target, headers } = fetching.last()
    expect(target).toBe(`${SIGNED}${MEDIA_ID}?timeout_ms=1235`)
    expect(headers).toMatchObject({ host: THEIRS, 'accept-encoding': 'identity', 'user-agent': 'Cellarium' })
    const [said] = readXMatrix(['authorization', headers['authorization'] ?? ''])
    expect(said).toMatchObject({ origin: OURS, destination: THEIRS, keyId: 'ed25519:abc' })
    const signed = canonicalJson({ method: 'GET', uri: target, origin: OURS, destination: THEIRS })
    expect(isSignature(signed, said?.signature ?? Buffer.alloc(0), createPublicKey(fetching.key.privateKey))).toBe(true)
  })

  test('is asked for by an id that stays as it was signed, whatever stands in it', async () => {
    fetching.theirs.say(sending(mixed(FILE)))
    await fetching.fetch({ mediaId: 'a/../b?c=d%20é' })
    const { target, headers } = fetching.last()
    expect(target).toBe(`${SIGNED}a%2F..%2Fb%3Fc%3Dd%2520%C3%A9?timeout_ms=20000`)
    const [said] = readXMatrix(['authorization', headers['authorization'] ?? ''])
    const signed = canonicalJson({ method: 'GET', uri: target, origin: OURS, destination: THEIRS })
    expect(isSignature(signed, said?.signature ?? Buffer.alloc(0), createPublicKey(fetching.key.privateKey))).toBe(true)
  })

  test.each<[string, Buffer]>([
    ['404 M_UNRECOGNIZED', refusal(404, 'M_UNRECOGNIZED')],
    ['400 M_UNRECOGNIZED', refusal(400, 'M_UNRECOGNIZED')],
    ['405 M_UNRECOGNIZED', refusal(405, 'M_UNRECOGNIZED')],
    ['401 M_UNRECOGNIZED', refusal(401, 'M_UNRECOGNIZED')],
    ['405 with another errcode', refusal(405, 'M_UNKNOWN')],
    ['404 without a body', response(404)],
    ['405 without a body', response(405)],
    ['404 that is no JSON', html(404)],
    ['405 that is no JSON', html(405)],
    ['404 with JSON that has no errcode', response(404, { error: 'what?' })],
    ['404 with JSON that is a list', response(404, '["errcode"]', ['Content-Type: application/json'])],
    ['400 in plain text, as the double of Complement does', response(400, 'what?', ['Content-Type: text/plain'])],
    ['a request for a user’s token', refusal(401, 'M_MISSING_TOKEN')],
    ['501', refusal(501, 'M_UNKNOWN')],
    ['a redirect, which it must not', response(307, '', ['Location: https://files.test/'])],
    ['a page for everything, with 200', html(200)],
    ['200 without a type', response(200, 'hello')],
    ['multipart/mixed without a boundary', response(200, 'hello', ['Content-Type: multipart/mixed'])],
    ['multipart/mixed with a first part that is no JSON', mixed(FILE, { json: '{' })],
    ['204', Buffer.from('HTTP/1.1 204 No Content\r\n\r\n')],
  ])('is asked for in the old way when the signed one is answered with %s', async (_, answer) => {
    fetching.theirs.say(signedSays(answer))
    const file = await fetching.fetch()
    expect(file).toMatchObject({ contentType: 'text/plain', fileName: 'a.txt', size: 8 })
    expect(file.bytes.toString()).toBe(FILE)
    expect(fetching.asked()).toEqual(['signed', 'v3'])
    const { target, headers } = fetching.last()
    expect(target).toBe(`${V3}${THEIRS}/${MEDIA_ID}?allow_remote=false&allow_redirect=true&timeout_ms=20000`)
    expect(Object.keys(headers)).not.toContain('authorization')
  })

  test.each<[string, Buffer, string, number, string]>([
    ['404 M_NOT_FOUND', refusal(404, 'M_NOT_FOUND'), 'not_found', 404, 'M_NOT_FOUND'],
    ['404 with another errcode', refusal(404, 'M_UNKNOWN'), 'not_found', 404, 'M_NOT_FOUND'],
    ['401 M_UNAUTHORIZED', refusal(401, 'M_UNAUTHORIZED'), 'refused', 404, 'M_NOT_FOUND'],
    ['403 M_FORBIDDEN', refusal(403, 'M_FORBIDDEN'), 'refused', 404, 'M_NOT_FOUND'],
    ['401 without a body', response(401), 'refused', 404, 'M_NOT_FOUND'],
    ['403 that is no JSON', html(403), 'refused', 404, 'M_NOT_FOUND'],
    ['400 with a reason', refusal(400, 'M_INVALID_PARAM'), 'refused', 404, 'M_NOT_FOUND'],
    ['429', refusal(429, 'M_LIMIT_EXCEEDED'), 'limited', 502, 'M_UNKNOWN'],
    ['429 that is no JSON', html(429), 'limited', 502, 'M_UNKNOWN'],
    ['504 M_NOT_YET_UPLOADED', refusal(504, 'M_NOT_YET_UPLOADED'), 'not_yet_uploaded', 504, 'M_NOT_YET_UPLOADED'],
    ['504 by a proxy', html(504), 'failing', 502, 'M_UNKNOWN'],
    ['500', refusal(500, 'M_UNKNOWN'), 'failing', 502, 'M_UNKNOWN'],
    ['502', html(502), 'failing', 502, 'M_UNKNOWN'],
    ['500 M_UNRECOGNIZED', refusal(500, 'M_UNRECOGNIZED'), 'failing', 502, 'M_UNKNOWN'],
  ])('is not asked for in another way after %s', async (_, answer, reason, status, errcode) => {
    fetching.theirs.say(signedSays(answer))
    const error = await fetching.failure()
    expect(error.reason).toBe(reason)
    expect(fetching.asked()).toEqual(['signed'])
    const told = errorAnswer(refusalOf(error))
    expect(told.status).toBe(status)
    expect(told.body).toMatchObject({ errcode })
  })

  test('tells how long its server wants to be left alone, and leaves it alone', async () => {
    fetching.theirs.say(signedSays(refusal(429, 'M_LIMIT_EXCEEDED', ['Retry-After: 30'])))
    expect(await fetching.failure()).toMatchObject({ reason: 'limited', retryAfterMs: 30_000, isWorthKeeping: false })
    const error = await fetching.failure()
    expect(error).toMatchObject({ reason: 'left_alone', isWorthKeeping: false })
    expect(error.retryAfterMs).toBeGreaterThan(0)
    expect(errorAnswer(refusalOf(error)).headers).toContain('Retry-After')
    expect(fetching.asked()).toEqual(['signed'])
  })

  test.each([
    ['404 M_UNRECOGNIZED', refusal(404, 'M_UNRECOGNIZED')],
    ['400 M_UNRECOGNIZED', refusal(400, 'M_UNRECOGNIZED')],
    ['404 that is no JSON', html(404)],
    ['405', html(405)],
  ])('is asked for by r0 when v3 is not known either (%s)', async (_, unknown) => {
    fetching.theirs.say(byPath({ [SIGNED]: sending(unknown), [V3]: sending(unknown), [R0]: sending(PLAIN) }))
    expect((await fetching.fetch()).bytes.toString()).toBe(FILE)
    expect(fetching.asked()).toEqual(['signed', 'v3', 'r0'])
    expect(fetching.last().target).toContain('?allow_remote=false&')
  })

  test('is not there when no endpoint is known', async () => {
    fetching.theirs.say(sending(refusal(404, 'M_UNRECOGNIZED')))
    const error = await fetching.failure()
    expect(error).toMatchObject({ reason: 'not_found', isWorthKeeping: true })
    expect(error.message.match(/answered 404/g)).toHaveLength(3)
    expect(fetching.asked()).toEqual(['signed', 'v3', 'r0'])
  })

  test('is not there when the old endpoint says so, which is asked no further', async () => {
    fetching.theirs.say(
      byPath({ [SIGNED]: sending(refusal(404, 'M_UNRECOGNIZED')), [V3]: sending(refusal(404, 'M_NOT_FOUND')) }),
    )
    expect(await fetching.failure()).toMatchObject({ reason: 'not_found', isWorthKeeping: true })
    expect(fetching.asked()).toEqual(['signed', 'v3'])
  })

  test('has not been said to be missing by a server that makes a mess of sending it', async () => {
    fetching.theirs.say(
      byPath({ [SIGNED]: sending(mixed(FILE, { json: '{' })), [V3]: sending(refusal(404, 'M_NOT_FOUND')) }),
    )
    const error = await fetching.failure()
    expect(error).toMatchObject({ reason: 'broken', isWorthKeeping: false })
    expect(error.message).toContain('the first part is no JSON')
    expect(errorAnswer(refusalOf(error)).status).toBe(502)
  })

  test.each([
    ['401', 'refused'],
    ['403', 'refused'],
  ])('is refused when the old endpoint says %s', async (status, reason) => {
    fetching.theirs.say(
      byPath({ [SIGNED]: sending(response(404)), [V3]: sending(refusal(Number(status), 'M_MISSING_TOKEN')) }),
    )
    expect((await fetching.failure()).reason).toBe(reason)
    expect(fetching.asked()).toEqual(['signed', 'v3'])
  })

  test('is asked for in the old way only by a homeserver that has no signing key', async () => {
    fetching.theirs.say(byPath({ [V3]: sending(PLAIN) }))
    expect((await fetching.fetch({ homeserver: KEYLESS })).bytes.toString()).toBe(FILE)
    expect(fetching.asked()).toEqual(['v3'])
    fetching.theirs.say(sending(refusal(404, 'M_NOT_FOUND')))
    const error = await fetching.failure({ homeserver: KEYLESS })
    expect(error).toMatchObject({ reason: 'no_key', isWorthKeeping: false })
    expect(error.message).toContain('keyless.test has no signing key (signingKeyPath)')
    expect(errorAnswer(refusalOf(error)).status).toBe(404)
  })

  test('is not asked for where the server name is our own', async () => {
    const dialled = fetching.internet.dialled.length
    for (const origin of [OURS, KEYLESS]) {
      expect(await fetching.failure({ origin })).toMatchObject({ reason: 'not_found', isWorthKeeping: true })
    }
    expect(fetching.internet.dialled).toHaveLength(dialled)
  })

  test('tells callers nothing of where it was looked for', async () => {
    fetching.theirs.say(sending(refusal(403, 'M_FORBIDDEN')))
    const error = await fetching.failure()
    expect(error.message).toContain('in their words')
    expect(JSON.stringify(errorAnswer(refusalOf(error)).body)).not.toMatch(/theirs\.test|in their words|203\.0/)
  })
})
