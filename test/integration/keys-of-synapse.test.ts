import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalJson } from '../../src/matrix/canonical-json.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import { formatKeys, readKeyFile } from '../../src/matrix/keys/key-files.ts'
import { readServerKeys } from '../../src/matrix/keys/published-keys.ts'
import { newSigningKey, seedOf, signObject, unpadded } from '../../src/matrix/keys/signing-key.ts'
import { identifyServer, signRequest } from '../../src/matrix/x-matrix.ts'
import { readXMatrix } from '../../src/matrix/x-matrix-header.ts'
import { temporaryFolder } from '../support/folder.ts'
import { runProgram } from '../support/processes.ts'
import { describeWith, requireService } from '../support/services.ts'
import { inPython } from '../support/signedjson.ts'

const PATIENT = 120_000
const REQUEST = {
  method: 'GET',
  uri: '/_matrix/federation/v1/media/download/abc?timeout_ms=20000&x=%C3%A4',
  origin: 'a.example',
  destination: 'b.example:8448',
}

describeWith('synapse', "beside Synapse's own packages", () => {
  test(
    'a key file that Synapse wrote signs as Synapse signs with it',
    async () => {
      await using folder = await temporaryFolder()
      const file = join(folder.path, 'synapse.key')
      const program = join(dirname(requireService('synapse')), 'generate_signing_key')
      await runProgram({ command: [program, '-o', file] })
      const [key] = await readKeyFile(file)
      const object = { z: [1, null, true], a: '😀\u0001é', 本: { b: -5 }, unsigned: { age: 1 } }
      const theirs = await inPython(
        `
key = read_signing_keys(open(given["file"]))[0]
signed = sign_json(given["object"], "a.example", key)
result = [key.version, encode_verify_key_base64(get_verify_key(key)), signed["signatures"]["a.example"]["ed25519:" + key.version]]`,
        { file, object },
      )
      expect([key.version, key.publicKey, signObject(object, key)]).toEqual(theirs)
    },
    PATIENT,
  )

  test(
    'Synapse reads what we write, and finds our signatures right',
    async () => {
      await using folder = await temporaryFolder()
      const keys = [newSigningKey(randomBytes), newSigningKey(randomBytes)]
      const file = await folder.write('ours.key', formatKeys(keys, 'synapse'))
      const [first] = keys
      if (!first) throw new Error('no key')
      const object = { destination: 'b.example', content: { ключ: [{}, [], '\\"'] } }
      const signed = { ...object, signatures: { 'a.example': { [first.id]: signObject(object, first) } } }
      const script = `
keys = read_signing_keys(open(given["file"]))
verify_signed_json(given["signed"], "a.example", get_verify_key(keys[0]))
result = [[key.version, encode_verify_key_base64(get_verify_key(key))] for key in keys]`
      expect(await inPython(script, { file, signed })).toEqual(keys.map((key) => [key.version, key.publicKey]))
      const changed = { ...signed, destination: 'c.example' }
      await expect(inPython(script, { file, signed: changed })).rejects.toThrow('SignatureVerifyException')
    },
    PATIENT,
  )

  test(
    'canonical JSON is the same',
    async () => {
      const letters = fc.string({ unit: 'binary' })
      const leaf = fc.oneof(fc.maxSafeInteger(), letters, fc.boolean(), fc.constant(null))
      const object = fc.dictionary(letters, fc.oneof(leaf, fc.array(leaf), fc.dictionary(letters, leaf)))
      const samples = fc.sample(object, 300) as JsonObject[]
      const extremes: Json = {
        a: 9007199254740991,
        b: -9007199254740991,
        c: 0,
        '\u{10ffff}': 1,
        '\uffff': 2,
        '\ud7ff': 3,
      }
      const all = [...samples, extremes]
      const theirs = await inPython(`result = [encode_canonical_json(value).hex() for value in given]`, all)
      expect(all.map((value) => canonicalJson(value).toString('hex'))).toEqual(theirs)
    },
    PATIENT,
  )

  test(
    'a request that we sign is one of ours for Synapse, and the other way round',
    async () => {
      const key = newSigningKey(randomBytes)
      const [header] = readXMatrix(['Authorization', signRequest(REQUEST, key)])
      if (!header) throw new Error('no header')
      const signatures = { 'a.example': { [header.keyId]: unpadded(header.signature) } }
      const theirs = await inPython(
        `
key = read_signing_keys([given["line"]])[0]
verify_signed_json({**given["request"], "signatures": given["signatures"]}, "a.example", get_verify_key(key))
signed = sign_json(given["request"], "a.example", key)["signatures"]["a.example"]
listed = {"server_name": "a.example", "valid_until_ts": 2000000000000, "old_verify_keys": {}, "verify_keys": {"ed25519:" + key.version: {"key": encode_verify_key_base64(get_verify_key(key))}}}
result = {"sig": list(signed.values())[0], "keys": sign_json(listed, "a.example", key)}`,
        { line: `ed25519 ${key.version} ${unpadded(seedOf(key))}`, request: REQUEST, signatures },
      )
      const { sig, keys } = theirs as { sig: string; keys: unknown }
      const published = readServerKeys(Buffer.from(JSON.stringify(keys)), 'a.example', 1_900_000_000_000)
      const authorization = `X-Matrix origin=a.example,key="${key.id}",sig="${sig}",destination="b.example:8448"`
      const received = {
        method: 'GET',
        target: REQUEST.uri,
        rawHeaders: ['authorization', authorization],
        homeserver: 'b.example:8448',
      }
      const parts = { remoteKeys: { find: async () => published } }
      expect(await identifyServer(parts, received)).toEqual({ kind: 'server', origin: 'a.example' })
    },
    PATIENT,
  )
})
