import { describe, expect, test } from 'vitest'
import { newKey } from '../../test/support/key-servers.ts'
import { canonicalJson } from './canonical-json.ts'
import type { JsonObject } from './json.ts'
import { type SigningKey, signObject } from './keys/signing-key.ts'
import { publicKeyOf } from './keys/signing-key.ts'
import { identifyServer, type ReceivedRequest, signRequest } from './x-matrix.ts'
import { writeXMatrix } from './x-matrix-header.ts'

const KEY = newKey('one')
const SECOND = newKey('two')
const STRANGER = newKey('none')
const URI = '/_matrix/federation/v1/media/download/abc?timeout_ms=1%2B1&q=ä'
const REQUEST = { method: 'GET', uri: URI, origin: 'a.example', destination: 'b.example' }

/** What a.example publishes, and how often somebody wanted to know. */
function remoteKeys(...keys: SigningKey[]) {
  const asked: string[] = []
  const find = async (origin: string) => {
    asked.push(origin)
    const current = new Map(
      keys.flatMap(({ id, publicKey }) => [[id, publicKeyOf(publicKey)] as const].filter(isThere)),
    )
    return { current, old: new Set(['ed25519:retired']), validUntil: Infinity }
  }
  return { find, asked }
}

function isThere<Key, Value>(entry: readonly [Key, Value | undefined]): entry is readonly [Key, Value] {
  return entry[1] !== undefined
}

function received(authorizations: readonly string[], more: Partial<ReceivedRequest> = {}): ReceivedRequest {
  const rawHeaders = ['Host', 'b.example', ...authorizations.flatMap((value) => ['Authorization', value])]
  return { method: 'GET', target: URI, homeserver: 'b.example', rawHeaders, ...more }
}

const identify = (request: ReceivedRequest, keys = remoteKeys(KEY)) => identifyServer({ remoteKeys: keys }, request)
const refusal = (message: string) =>
  expect.objectContaining({ reason: 'server_unauthorized', message: expect.stringContaining(message) })
const caller = { kind: 'server', origin: 'a.example' }

/** A header whose signature is for exactly these members. */
const signedFor = (members: JsonObject, header: { destination?: string } = {}) => {
  const full = writeXMatrix({
    origin: 'a.example',
    destination: 'DESTINATION',
    key: KEY.id,
    sig: signObject(members, KEY),
  })
  const { destination } = header
  return full.replace(',destination="DESTINATION"', destination === undefined ? '' : `,destination="${destination}"`)
}

describe('a request of ours', () => {
  test('is signed over method, address, origin, destination, and the body if there is one', async () => {
    const header = signRequest(REQUEST, KEY)
    expect(header).toBe(
      `X-Matrix origin="a.example",destination="b.example",key="ed25519:one",sig="${signObject({ ...REQUEST }, KEY)}"`,
    )
    expect(signRequest({ ...REQUEST, content: undefined }, KEY)).toBe(header)
    expect(signRequest({ ...REQUEST, content: {} }, KEY)).not.toBe(header)
    expect(canonicalJson({ ...REQUEST, content: {} }).toString()).toMatch(/^\{"content":\{\},"destination":/)
  })

  test('is known by its receiver', async () => {
    expect(await identify(received([signRequest(REQUEST, KEY)]))).toEqual(caller)
  })
})

describe('who sent a request is known by its signature', () => {
  test('over the address as it was in the request line, not as it might be written too', async () => {
    const header = signRequest(REQUEST, KEY)
    const decoded = received([header], { target: URI.replace('%2B', '+') })
    await expect(identify(decoded)).rejects.toEqual(refusal('was the address changed on the way?'))
    await expect(identify(received([header], { method: 'HEAD' }))).rejects.toEqual(refusal('is not for HEAD /_matrix'))
  })

  test.each([
    ['/path?', '/path'],
    ['/path', '/path?'],
    ['/path?', '/path?'],
  ])('where a ? without a query was lost or added on the way: %s received, %s signed', async (target, uri) => {
    expect(await identify(received([signRequest({ ...REQUEST, uri }, KEY)], { target }))).toEqual(caller)
    const other = received([signRequest({ ...REQUEST, uri: '/other' }, KEY)], { target })
    await expect(identify(other)).rejects.toEqual(refusal('is not for GET'))
  })

  test.each([
    ['signed all the same', { destination: 'b.example' }],
    ['not signed either', {}],
  ])('where the destination is not in the header, but %s', async (_, signed) => {
    const header = signedFor({ method: 'GET', uri: URI, origin: 'a.example', ...signed })
    expect(await identify(received([header]))).toEqual(caller)
  })

  test('and a signed destination cannot be left out to make it another', async () => {
    const header = signedFor({ ...REQUEST, destination: 'c.example' })
    await expect(identify(received([header]))).rejects.toEqual(refusal('is not for GET'))
    const named = signedFor({ method: 'GET', uri: URI, origin: 'a.example' }, { destination: 'b.example' })
    await expect(identify(received([named]))).rejects.toEqual(refusal('is not for GET'))
  })

  test('whatever the case of the destination', async () => {
    const header = signRequest({ ...REQUEST, destination: 'B.Example' }, KEY)
    expect(await identify(received([header]))).toEqual(caller)
  })

  test('by one of several keys, as long as none that is listed is wrong', async () => {
    const [good, second, unlisted] = [KEY, SECOND, STRANGER].map((key) => signRequest(REQUEST, key))
    const wrong = signRequest({ ...REQUEST, uri: '/' }, SECOND)
    if (!good || !second || !unlisted) throw new Error('no header')
    expect(await identify(received([unlisted, good]))).toEqual(caller)
    expect(await identify(received([good, second]), remoteKeys(KEY, SECOND))).toEqual(caller)
    const both = received([good, wrong])
    await expect(identify(both, remoteKeys(KEY, SECOND))).rejects.toEqual(refusal('the signature by ed25519:two'))
    await expect(identify(received([unlisted]))).rejects.toEqual(
      refusal('invalid auth provided (required): ed25519:none is not among the keys that a.example publishes'),
    )
  })

  test('never by an old key', async () => {
    const header = signRequest(REQUEST, newKey('retired'))
    await expect(identify(received([header]))).rejects.toEqual(refusal('among its old keys only'))
  })
})

describe('nobody is asked for keys because of a request', () => {
  const good = signRequest(REQUEST, KEY)
  test.each([
    ['without a signature', [], 'no auth provided (required)'],
    ['with an access token instead', ['Bearer abc'], 'no auth provided (required)'],
    [
      'for another server',
      [signRequest({ ...REQUEST, destination: 'c.example' }, KEY)],
      'no auth provided for this destination (required): it is for "c.example"',
    ],
    ['of nobody', [good.replace('a.example', 'a..example')], 'the origin is no server name'],
    ['of a path', [good.replace('a.example', 'a.example/..')], 'the origin is no server name'],
    ['with half a header', [good.slice(0, 40)], 'invalid auth provided (required): the X-Matrix header has no'],
    ['of two servers', [good, good.replace('a.example', 'c.example')], 'differ in origin or destination'],
    ['for two servers', [good, good.replace('b.example', 'c.example')], 'differ in origin or destination'],
    ['with very many signatures', Array.from({ length: 9 }, () => good), 'more than 8'],
  ])('%s', async (_, headers, message) => {
    const keys = remoteKeys(KEY)
    await expect(identify(received(headers), keys)).rejects.toEqual(refusal(message))
    expect(keys.asked).toEqual([])
  })
})
