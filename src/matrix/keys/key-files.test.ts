import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../../../test/support/folder.ts'
import { formatKeys, KEY_FORMATS, parseKeys, readKeyFile } from './key-files.ts'
import { newSigningKey, seedOf, signingKey } from './signing-key.ts'

const SEED = Buffer.from(Array.from({ length: 32 }, (_, at) => at))
const OTHER_SEED = Buffer.alloc(32, 0xff)
const BASE64 = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8'
const ONE = signingKey('a_One', SEED)
const TWO = signingKey('Two222', OTHER_SEED)

const MMR = `-----BEGIN MMR PRIVATE KEY-----
Key-ID: ed25519:a_One
Version: 1

${BASE64}=
-----END MMR PRIVATE KEY-----
`
const DENDRITE = `-----BEGIN MATRIX PRIVATE KEY-----
Key-ID: ed25519:a_One

${BASE64}=
-----END MATRIX PRIVATE KEY-----
`
const SYNAPSE = `ed25519 a_One ${BASE64}`
const idsIn = (text: string) => parseKeys(text, 'some.key').map(({ id }) => id)

describe('a key file', () => {
  test.each([
    ['mmr', MMR],
    ['dendrite', DENDRITE],
    ['synapse', SYNAPSE],
  ] as const)("is written byte for byte as MMR's tools write it, and read: %s", (format, text) => {
    expect(formatKeys([ONE], format)).toBe(text)
    const [key, ...more] = parseKeys(text, 'some.key')
    expect(more).toEqual([])
    expect([key.id, key.publicKey, seedOf(key)]).toEqual(['ed25519:a_One', ONE.publicKey, SEED])
  })

  test.each(KEY_FORMATS)('may hold several keys, and keeps their order: %s', (format) => {
    expect(idsIn(formatKeys([TWO, ONE], format))).toEqual(['ed25519:Two222', 'ed25519:a_One'])
  })

  test.each([MMR, DENDRITE, SYNAPSE])('may have blank lines anywhere around keys, and line ends of Windows', (text) => {
    const second = formatKeys([TWO], text === SYNAPSE ? 'synapse' : 'mmr')
    const untidy = `\uFEFF\n\n${text}\n \n\n${second}\n\n\t\n`
    expect(idsIn(untidy)).toEqual(['ed25519:a_One', 'ed25519:Two222'])
    expect(idsIn(untidy.replaceAll('\n', '\r\n'))).toEqual(['ed25519:a_One', 'ed25519:Two222'])
  })

  test('may have blocks of MMR and Dendrite beside each other', () => {
    expect(idsIn(formatKeys([TWO], 'dendrite') + MMR)).toEqual(['ed25519:Two222', 'ed25519:a_One'])
  })

  test('may have padded base64 in lines, and unpadded in blocks', () => {
    expect(idsIn(`${SYNAPSE}=\n`)).toEqual(['ed25519:a_One'])
    expect(idsIn(MMR.replace(`${BASE64}=`, BASE64))).toEqual(['ed25519:a_One'])
  })

  test.each([
    ['nothing', '', 'some.key holds no key: expected lines like "ed25519 a_AbCd'],
    ['blank lines only', ' \n\n', 'holds no key'],
    ['other text', 'hello\n', 'some.key, line 1: expected lines like'],
    ['a line too short', `${SYNAPSE}\ned25519 a_Two`, 'some.key, line 2: expected lines like'],
    ["a line of Synapse's old keys", `ed25519 a_Old 1700000000000 ${BASE64}`, 'line 1: expected'],
    ['another algorithm', `rsa a_One ${BASE64}`, 'line 1: expected'],
    ['a short key', `ed25519 a_One ${BASE64.slice(4)}`, 'the key has to be 32 bytes in base64'],
    ['a key that is no base64', `ed25519 a_One ${BASE64.slice(1)}!`, 'the key has to be 32 bytes in base64'],
    ['a TLS key', MMR.replaceAll('MMR PRIVATE', 'PRIVATE'), 'a block "PRIVATE KEY"; expected'],
    ['a block without an end', MMR.replace(/-----END[^]*/, ''), 'some.key, line 1: a block that is not complete'],
    [
      'something after a block',
      `${MMR}ed25519`,
      'some.key, line 7: a block that is not complete, or something between',
    ],
    ['a block without Key-ID', MMR.replace('Key-ID', 'Key'), 'without a line "Key-ID: ed25519:<version>"'],
    ['a block without a blank line', MMR.replace('\n\n', '\n'), 'a blank line after it'],
    ['a Key-ID of another algorithm', MMR.replace('ed25519:', 'rsa:'), 'begin with "ed25519:"'],
    ['a version that no header can hold', `ed25519 a"b ${BASE64}`, 'letters, digits and "_"'],
    ['a version twice', `${SYNAPSE}\n${SYNAPSE}`, 'some.key has two keys called ed25519:a_One'],
  ])('with %s is refused, without showing the key', (_, text, message) => {
    expect(() => parseKeys(text, 'some.key')).toThrow(message)
    expect(() => parseKeys(text, 'some.key')).not.toThrow(BASE64.slice(4, 20))
  })

  test('that is not there, or a folder, is named', async () => {
    await using folder = await temporaryFolder()
    const missing = `${folder.path}/missing.key`
    await expect(readKeyFile(missing)).rejects.toThrow(`${missing} does not exist`)
    await expect(readKeyFile(folder.path)).rejects.toThrow(`${folder.path} is a folder`)
  })

  test('holds in every format whatever keys are written into it', () => {
    const seeds = fc.uniqueArray(fc.uint8Array({ minLength: 32, maxLength: 32 }), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(seeds, fc.constantFrom(...KEY_FORMATS), (all, format) => {
        const keys = all.map((seed, at) => signingKey(`v_${at}`, seed))
        const again = parseKeys(formatKeys(keys, format), 'some.key')
        expect(again.map((key) => [key.id, seedOf(key).toString('hex')])).toEqual(
          keys.map((key, at) => [key.id, Buffer.from(all[at] ?? []).toString('hex')]),
        )
      }),
      { numRuns: 50 },
    )
  })
})

test('a new key has a version of six different letters and digits, and its secret from the source of randomness', () => {
  const bytes = [255, 0, 1, 60, 58, 200, 3, 2]
  let asked = 0
  const key = newSigningKey((count) => (count === 1 ? Buffer.from([bytes[asked++] ?? 0]) : SEED))
  expect(key.version).toMatch(/^[A-Za-z0-9]{6}$/)
  expect(new Set(key.version).size).toBe(6)
  expect(seedOf(key)).toEqual(SEED)
})
