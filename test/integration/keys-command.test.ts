import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parseKeys } from '../../src/matrix/keys/key-files.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startProgram } from '../support/processes.ts'

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url))
const SYNAPSE = 'ed25519 a_One AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8'
const PATIENT = 120_000

/** Runs a program of `bin/` in a folder, without a configuration, as whoever runs the tests. */
async function run(folder: string, name: string, ...args: string[]) {
  const { CELLARIUM_DATA: _data, REPO_CONFIG: _config, ...environment } = process.env
  const command = [process.execPath, join(BIN, `${name}.js`), ...args]
  await using program = await startProgram({ command, folder, environment })
  const { code } = await program.ended
  return { code, text: program.lines.join('\n') }
}

const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8)

describe("matrix-media-repo's generate_signing_key", { timeout: PATIENT }, () => {
  test('writes a new key that only its owner can read, and says so in the same words', async () => {
    await using folder = await temporaryFolder()
    const { code, text } = await run(folder.path, 'generate_signing_key', '-output', 'new.key.TEMP')
    const written = await readFile(join(folder.path, 'new.key.TEMP'), 'utf8')
    const [key] = parseKeys(written, 'new.key.TEMP')
    expect(text).toBe(`Key ID will be '${key.id}'\nDone! Signing key written to 'new.key.TEMP' in mmr format`)
    expect(written).toMatch(/^-----BEGIN MMR PRIVATE KEY-----\nKey-ID: ed25519:\w{6}\nVersion: 1\n\n/)
    expect(code).toBe(0)
    expect(await modeOf(join(folder.path, 'new.key.TEMP'))).toBe('600')
  })

  test('writes the first key of another file in another format, into ./signing.key if not told where', async () => {
    await using folder = await temporaryFolder({
      'in.key': `${SYNAPSE}\n`,
      'signing.key': 'what was here before, longer than it',
    })
    await chmod(join(folder.path, 'signing.key'), 0o644)
    const { code, text } = await run(folder.path, 'generate_signing_key', '-input=in.key', '--format=dendrite')
    expect([code, text]).toEqual([
      0,
      "Key ID will be 'ed25519:a_One'\nDone! Signing key written to './signing.key' in dendrite format",
    ])
    expect(await readFile(join(folder.path, 'signing.key'), 'utf8')).toBe(
      `-----BEGIN MATRIX PRIVATE KEY-----\nKey-ID: ed25519:a_One\n\n${SYNAPSE.slice(14)}=\n-----END MATRIX PRIVATE KEY-----\n`,
    )
    expect(await modeOf(join(folder.path, 'signing.key'))).toBe('600')
  })

  test('explains its flags with -help, and refuses those that it does not know', async () => {
    await using folder = await temporaryFolder()
    const help = await run(folder.path, 'generate_signing_key', '-help')
    expect([help.code, help.text]).toEqual([0, expect.stringContaining('--input <file>')])
    const wrong = await run(folder.path, 'generate_signing_key', '-out', 'x')
    expect([wrong.code, wrong.text]).toEqual([2, expect.stringContaining('unknown option')])
    const format = await run(folder.path, 'generate_signing_key', '-format', 'pkcs8')
    expect([format.code, format.text]).toEqual([1, expect.stringContaining("Unknown output format 'pkcs8'")])
    const value = await run(folder.path, 'generate_signing_key', '-output')
    expect([value.code, value.text]).toEqual([2, expect.stringContaining('argument missing')])
  })
})

describe("matrix-media-repo's combine_signing_keys", { timeout: PATIENT }, () => {
  test("puts the homeserver's key first, whatever the formats", async () => {
    await using folder = await temporaryFolder({ 'homeserver.key': `${SYNAPSE}\n` })
    await run(folder.path, 'generate_signing_key', '-output', 'ours.TEMP')
    const args = ['-format', 'synapse', '-output', 'homeserver.key.merged', 'homeserver.key', 'ours.TEMP']
    const { code, text } = await run(folder.path, 'combine_signing_keys', ...args)
    expect([code, text]).toEqual([
      0,
      "Reading homeserver.key\nReading ours.TEMP\nDone! Signing key written to 'homeserver.key.merged' in synapse format",
    ])
    const merged = await readFile(join(folder.path, 'homeserver.key.merged'), 'utf8')
    expect(merged).toMatch(/^ed25519 a_One \S{43}\ned25519 \w{6} \S{43}$/)
    expect(merged.startsWith(`${SYNAPSE}\n`)).toBe(true)
    expect(await modeOf(join(folder.path, 'homeserver.key.merged'))).toBe('600')
  })

  test.each([
    ['the same key', SYNAPSE, 'it is the same key'],
    ['different keys', SYNAPSE.replace('AAEC', 'BBBB'), 'they are different keys'],
  ])('refuses %s under one version without showing any, and writes nothing', async (_, other, why) => {
    await using folder = await temporaryFolder({ 'one.key': SYNAPSE, 'two.key': other })
    const { code, text } = await run(folder.path, 'combine_signing_keys', '-output', 'out.key', 'one.key', 'two.key')
    expect(code).toBe(1)
    expect(text).toContain(`Duplicate key version 'a_One' detected, in one.key and two.key: ${why}`)
    expect(text).not.toContain('AwQF')
    await expect(stat(join(folder.path, 'out.key'))).rejects.toThrow('ENOENT')
  })

  test('names a file that holds no key', async () => {
    await using folder = await temporaryFolder({ 'one.key': SYNAPSE, 'two.key': 'nonsense' })
    const { code, text } = await run(folder.path, 'combine_signing_keys', 'one.key', 'two.key')
    expect([code, text]).toEqual([1, expect.stringContaining('two.key, line 1: expected lines like "ed25519')])
    const none = await run(folder.path, 'combine_signing_keys', '-format', 'mmr')
    expect([none.code, none.text]).toEqual([1, expect.stringContaining('no key to combine')])
  })
})

describe('cellarium keys', { timeout: PATIENT }, () => {
  test('generate and combine do the same, and replace a file only when told to', async () => {
    await using folder = await temporaryFolder({ 'old.key': SYNAPSE })
    const generate = ['keys', 'generate', '--format', 'synapse', '--output', 'old.key']
    const refused = await run(folder.path, 'cellarium', ...generate)
    expect([refused.code, refused.text]).toEqual([
      1,
      expect.stringContaining('old.key exists already; --force replaces it'),
    ])
    expect(await readFile(join(folder.path, 'old.key'), 'utf8')).toBe(SYNAPSE)
    expect((await run(folder.path, 'cellarium', ...generate, '--force')).code).toBe(0)
    await writeFile(join(folder.path, 'first.key'), SYNAPSE)
    const combine = ['keys', 'combine', '--output', 'both.key', 'first.key', 'old.key']
    expect((await run(folder.path, 'cellarium', ...combine)).code).toBe(0)
    const [first, second] = parseKeys(await readFile(join(folder.path, 'both.key'), 'utf8'), 'both.key')
    expect([first.version, second?.version]).toEqual(['a_One', expect.stringMatching(/^\w{6}$/)])
  })

  test('revoke prints what each homeserver wants to know of an old key, and not its secret', async () => {
    await using folder = await temporaryFolder({
      'two.key': `${SYNAPSE}\n${SYNAPSE.replace('One', 'Two').replace('AAEC', 'BBBB')}`,
    })
    const which = await run(folder.path, 'cellarium', 'keys', 'revoke', 'two.key')
    expect([which.code, which.text]).toEqual([
      1,
      expect.stringContaining('holds ed25519:a_One, ed25519:a_Two: say which'),
    ])
    const args = ['two.key', '--key', 'ed25519:a_One', '--expired', '1767225600000']
    const { code, text } = await run(folder.path, 'cellarium', 'keys', 'revoke', ...args)
    expect(code).toBe(0)
    // The public half of the key 00 01 02 … 1f, as other implementations of ed25519 give it.
    const publicKey = 'A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg'
    expect(text).toContain(`old_signing_keys:\n  "ed25519:a_One": { key: "${publicKey}", expired_ts: 1767225600000 }`)
    expect(text).toContain(
      `old_private_keys:\n    - public_key: "${publicKey}="\n      key_id: "ed25519:a_One"\n      expired_at: 1767225600000`,
    )
    expect(text).not.toContain('AwQF')
  })
})
