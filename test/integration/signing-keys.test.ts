import { expect, test } from 'vitest'
import { formatKeys } from '../../src/matrix/keys/key-files.ts'
import { startApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { newKey } from '../support/key-servers.ts'

test('a server says at its start which homeserver has no key, and takes the key that is put there', async () => {
  await using folder = await temporaryFolder()
  const path = `${folder.path}/example.org.signing.key`
  const other = { name: 'other.example', csApi: 'http://127.0.0.1:9' }
  const homeserver = { signingKeyPath: path, adminApiKind: 'synapse' }
  await using app = await startApp({ homeserver, otherHomeservers: [other] })
  const lines = () => app.log().split('\n')
  const about = (name: string) => lines().filter((line) => line.includes(`${name} cannot fetch authenticated media`))
  expect(about('other.example')).toEqual([
    expect.stringContaining('it has no signingKeyPath. Make one: cellarium keys'),
  ])
  expect(about('example.org')).toEqual([
    expect.stringContaining(`${path} does not exist. Make one: cellarium keys generate --output ${path}; add`),
  ])
  const key = newKey('fresh')
  await folder.write('example.org.signing.key', formatKeys([key], 'mmr'))
  await app.reload({ uploads: { maxBytes: 12_345 } })
  await expect
    .poll(() => lines().filter((line) => line.includes('are signed with this key')), { timeout: 15_000 })
    .toEqual([expect.stringContaining(`"keyId":"ed25519:fresh"`)])
  expect(about('example.org')).toHaveLength(1)
})
