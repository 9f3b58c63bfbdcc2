import { rm } from 'node:fs/promises'
import { describe, expect, test, vi } from 'vitest'
import { temporaryFolder } from '../../../test/support/folder.ts'
import { newKey } from '../../../test/support/key-servers.ts'
import { recordingLog } from '../../../test/support/log.ts'
import { openMetrics } from '../../lib/metrics.ts'
import { formatKeys, KeyFileError } from './key-files.ts'
import { howToMend } from './mend.ts'
import { type KeyOwner, OwnKeys } from './own-keys.ts'

const [ONE, TWO] = [newKey('one'), newKey('two')]

function opened() {
  const { log, lines } = recordingLog()
  const metrics = openMetrics({ version: 'test' })
  metrics.configure({ homeservers: ['a.example', 'b.example'], sizes: [] })
  const keys = new OwnKeys({ events: { log, metrics }, pollMs: 10 })
  return { keys, lines, metrics, [Symbol.asyncDispose]: () => keys[Symbol.asyncDispose]() }
}

const owner = (name: string, signingKeyPath: string, adminApiKind: KeyOwner['adminApiKind'] = 'synapse') => ({
  name,
  signingKeyPath,
  adminApiKind,
})

describe('a homeserver signs', () => {
  test('with the first key of its file, in whichever format', async () => {
    await using folder = await temporaryFolder()
    await using own = opened()
    const a = await folder.write('a.key', formatKeys([ONE, TWO], 'synapse'))
    const b = await folder.write('b.key', formatKeys([TWO], 'dendrite'))
    await own.keys.configure([owner('a.example', a), owner('b.example', b)])
    expect([own.keys.keyOf('a.example')?.id, own.keys.keyOf('b.example')?.id]).toEqual([ONE.id, TWO.id])
    expect(own.keys.keyOf('c.example')).toBeUndefined()
    expect(own.lines.map(({ host, keyId }) => [host, keyId])).toEqual([
      ['a.example', ONE.id],
      ['b.example', TWO.id],
    ])
    expect(own.metrics.signingKeys.of('a.example').state).toBe(1)
  })

  test('with another key as soon as its file has changed, and with the old one while the file is broken', async () => {
    await using folder = await temporaryFolder()
    await using own = opened()
    const path = await folder.write('a.key', formatKeys([ONE], 'mmr'))
    await own.keys.configure([owner('a.example', path)])
    await folder.write('a.key', 'nonsense')
    await vi.waitFor(() => expect(own.lines).toHaveLength(2), 10_000)
    expect(own.keys.keyOf('a.example')?.id).toBe(ONE.id)
    expect(own.lines[1]).toMatchObject({
      level: 50,
      host: 'a.example',
      keyId: ONE.id,
      msg: expect.stringContaining(`the one of before stays in use: ${path}, line 1: expected lines like`),
    })
    await rm(path)
    await vi.waitFor(() => expect(own.lines).toHaveLength(3), 10_000)
    expect(own.lines[2]?.msg).toContain('does not exist')
    await folder.write('a.key', formatKeys([TWO, ONE], 'synapse'))
    await vi.waitFor(() => expect(own.keys.keyOf('a.example')?.id).toBe(TWO.id), 10_000)
    expect(own.lines).toHaveLength(4)
  })

  test('no longer once the configuration names no key', async () => {
    await using folder = await temporaryFolder()
    await using own = opened()
    const path = await folder.write('a.key', formatKeys([ONE], 'mmr'))
    await own.keys.configure([owner('a.example', path), owner('b.example', path)])
    await own.keys.configure([owner('a.example', '')])
    expect([own.keys.keyOf('a.example'), own.keys.keyOf('b.example')]).toEqual([undefined, undefined])
    expect(own.metrics.signingKeys.of('a.example').state).toBe(0)
  })
})

const linesFor = async (...owners: KeyOwner[]) => {
  await using own = opened()
  await own.keys.configure(owners)
  await own.keys.configure(owners)
  return own.lines.map(({ level, msg }) => [level, msg])
}

describe('a homeserver that cannot sign is named once, with what mends it', () => {
  test('when it has no signingKeyPath', async () => {
    const lines = await linesFor(owner('a.example:8448', ''), owner('b.example', '', 'dendrite'))
    expect(lines).toEqual([
      [
        40,
        "a.example:8448 cannot fetch authenticated media of other servers: it has no signingKeyPath. Make one: cellarium keys generate --output a.example_8448.signing.key; add it to the homeserver's: cellarium keys combine --format synapse --output merged.key HOMESERVER_KEY a.example_8448.signing.key (HOMESERVER_KEY: signing_key_path in homeserver.yaml); put merged.key in the place of HOMESERVER_KEY and restart the homeserver, and name the new key in homeservers[].signingKeyPath",
      ],
      [
        40,
        expect.stringContaining(
          '--format dendrite --output merged.key HOMESERVER_KEY b.example.signing.key (HOMESERVER_KEY: global.private_key in dendrite.yaml)',
        ),
      ],
    ])
  })

  test('when its file is not there, or holds no key', async () => {
    await using folder = await temporaryFolder({ "odd one's.key": 'nonsense' })
    const missing = `${folder.path}/missing.key`
    const odd = `${folder.path}/odd one's.key`
    const lines = await linesFor(owner('a.example', missing), owner('b.example', odd))
    expect(lines.map(([, msg]) => msg)).toEqual([
      expect.stringContaining(`${missing} does not exist. Make one: cellarium keys generate --output ${missing}; add`),
      expect.stringContaining(
        `Move '${folder.path}/odd one'\\''s.key' away and make another: cellarium keys generate --output '${folder.path}/odd one'\\''s.key'; add`,
      ),
    ])
  })

  test('when its file may not be read', () => {
    const problem = new KeyFileError('/a.key may not be read by this user', { why: 'unreadable' })
    expect(howToMend(owner('a.example', '/a.key'), problem)).toBe(
      'Let the user that runs Cellarium read it: chown USER /a.key',
    )
  })
})
