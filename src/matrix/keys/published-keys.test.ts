import { describe, expect, test } from 'vitest'
import { keyBody, newKey, withSignature } from '../../../test/support/key-servers.ts'
import type { Json } from '../json.ts'
import { KeysUnusable, readNotaryAnswer, readServerKeys } from './published-keys.ts'

const NOW = 1_700_000_000_000
const HOUR = 3_600_000
const [ONE, TWO, OLD] = [newKey('one'), newKey('two'), newKey('old')]
const plain = { keys: [ONE, TWO], old: [OLD], validUntil: NOW + HOUR }
const bytes = (body: Json) => Buffer.from(JSON.stringify(body))
const read = (body: Json) => readServerKeys(bytes(body), 'a.example', NOW)

describe('what a server publishes', () => {
  test('are its keys, its old ones apart, until the time it says', () => {
    const keys = read(keyBody('a.example', plain))
    expect([...keys.current.keys()]).toEqual([ONE.id, TWO.id])
    expect([...keys.old]).toEqual([OLD.id])
    expect(keys.validUntil).toBe(NOW + HOUR)
  })

  test('is believed for seven days at most', () => {
    expect(read(keyBody('a.example', { ...plain, validUntil: NOW + 900 * 24 * HOUR })).validUntil).toBe(
      NOW + 168 * HOUR,
    )
  })

  test('needs the signature of one of its keys only; members that nobody knows are signed too', () => {
    const body = keyBody('a.example', { ...plain, signers: [TWO] }, { 'org.example.future': [1, '😀'] })
    expect([...read(body).current.keys()]).toEqual([ONE.id, TWO.id])
    expect(() => read({ ...body, 'org.example.future': [] })).toThrow('not signed by any of the keys in it')
  })

  test('is taken without the keys whose own signature is wrong, which are none, or of another algorithm', () => {
    const more = {
      verify_keys: {
        [ONE.id]: { key: ONE.publicKey },
        [TWO.id]: { key: ONE.publicKey },
        'ed25519:short': { key: 'AAAA' },
        'ed25519:odd': 5,
        'rsa:1': { key: ONE.publicKey },
      },
    }
    expect([...read(keyBody('a.example', plain, more)).current.keys()]).toEqual([ONE.id])
  })

  test('may carry signatures by others: notaries, and keys that it lists no longer', () => {
    const body = withSignature(keyBody('a.example', { ...plain, signers: [ONE, OLD] }), 'notary.example', TWO)
    expect([...read(body).current.keys()]).toEqual([ONE.id, TWO.id])
  })

  test.each([
    ['another server', keyBody('b.example', plain), 'the answer is about "b.example"'],
    ['no server', { verify_keys: {} }, 'the answer is about no server'],
    [
      'nothing that is valid now',
      keyBody('a.example', { ...plain, validUntil: NOW }),
      'they were valid until 2023-11-14T22:13:20.000Z',
    ],
    ['no time', keyBody('a.example', plain, { valid_until_ts: 'soon' }), 'no valid_until_ts'],
    ['no signature', keyBody('a.example', { ...plain, signers: [] }), 'not signed by any'],
    ['the signature of an old key only', keyBody('a.example', { ...plain, signers: [OLD] }), 'not signed by any'],
    [
      'a signature of another server only',
      withSignature(keyBody('a.example', { ...plain, signers: [] }), 'b.example', ONE),
      'not signed by any',
    ],
    ['no keys', keyBody('a.example', { ...plain, keys: [], signers: [ONE] }), 'not signed by any'],
    [
      'odd types',
      { server_name: 'a.example', valid_until_ts: NOW + 1, verify_keys: [1], signatures: 'x', old_verify_keys: 7 },
      'not signed by any',
    ],
    ['a list', [], 'no JSON object'],
  ] as [string, Json, string][])('is refused when it is about %s', (_, body, message) => {
    expect(() => read(body)).toThrow(KeysUnusable)
    expect(() => read(body)).toThrow(message)
  })

  test('is refused when it could be read in two ways', () => {
    const text = JSON.stringify(keyBody('a.example', plain)).replace('{', `{"valid_until_ts":${NOW + 2 * HOUR},`)
    expect(() => readServerKeys(Buffer.from(text), 'a.example', NOW)).toThrow(
      'cannot be understood: the JSON has the key',
    )
    expect(() => readServerKeys(Buffer.from('<html>'), 'a.example', NOW)).toThrow('cannot be understood')
  })
})

describe("a notary's answer", () => {
  const about = { origin: 'a.example', notary: 'notary.example', now: NOW }
  const notaryKeys = readServerKeys(
    bytes(keyBody('notary.example', { keys: [OLD], validUntil: NOW + HOUR })),
    'notary.example',
    NOW,
  )
  const readAnswer = (...entries: Json[]) => readNotaryAnswer(bytes({ server_keys: entries }), about)

  test('is about the server asked for, what is valid longest first', () => {
    const later = keyBody('a.example', { ...plain, keys: [TWO], validUntil: NOW + 2 * HOUR })
    const expired = keyBody('a.example', { ...plain, validUntil: NOW - 1 })
    const found = readAnswer(keyBody('b.example', plain), expired, keyBody('a.example', plain), later)
    expect(found.map(({ keys }) => keys.validUntil - NOW)).toEqual([2 * HOUR, HOUR])
  })

  test('has to be signed by the notary as well as by the server', () => {
    const unsigned = keyBody('a.example', plain)
    const [good, bare, wrong] = [
      readAnswer(withSignature(unsigned, 'notary.example', OLD))[0],
      readAnswer(unsigned)[0],
      readAnswer(withSignature(unsigned, 'notary.example', { ...OLD, privateKey: ONE.privateKey }))[0],
    ]
    expect([good?.notaryKeyIds, good?.isSignedBy(notaryKeys)]).toEqual([[OLD.id], true])
    expect([bare?.notaryKeyIds, bare?.isSignedBy(notaryKeys)]).toEqual([[], false])
    expect(wrong?.isSignedBy(notaryKeys)).toBe(false)
    const forged = withSignature(keyBody('a.example', { ...plain, signers: [] }), 'notary.example', OLD)
    expect(() => readAnswer(forged)).toThrow('not signed by any of the keys in it')
  })

  test('may know nothing', () => {
    expect(() => readAnswer()).toThrow('notary.example does not know them')
    expect(() => readNotaryAnswer(bytes({}), about)).toThrow('notary.example does not know them')
  })
})
