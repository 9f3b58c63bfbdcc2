/** Moving in from real Synapses, which federate, while they run. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Authority, makeAuthority } from '../support/authority.ts'
import { type Filled, fillWithMedia, ourServer, sha256 } from '../support/filled-synapse.ts'
import { countsIn, runCommand } from '../support/importing.ts'
import { mediaClient } from '../support/media-client.ts'
import type { Server } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'
import { type Person, type Stack, startStack } from '../support/stacks.ts'
import { startVersitygw, type Versitygw } from '../support/versitygw.ts'

const PATIENT = { timeout: 180_000 }
const ADOPTED = 'imported where they are, by a link or in their bucket'
const COPIED = 'imported by a copy'
const PREFIX = 'synapse/'

describeWith(['synapse', 'nginx', 'openssl', 'postgres', 'versitygw'], 'Moving in from a real Synapse', () => {
  const cleanup = new AsyncDisposableStack()
  let authority: Authority
  let other: Stack
  let bob: Person
  const hosts = {
    'one.test': '127.0.0.1',
    'two.test': '127.0.0.1',
    'other.test': '127.0.0.1',
    'page.test': '127.0.0.1',
  }

  beforeAll(async () => {
    authority = cleanup.use(await makeAuthority())
    setDefaultCACertificates([...getCACertificates('default'), authority.certificate])
    other = cleanup.use(await startStack({ host: 'other.test', media: 'synapse', hosts, authority }))
    bob = await other.person('bob')
  }, 180_000)
  afterAll(() => cleanup.disposeAsync())

  test('on SQLite, with its folder; or over HTTP, where nothing else is at hand', PATIENT, async () => {
    await using stack = await startStack({
      host: 'one.test',
      media: 'synapse',
      hosts,
      authority,
      synapse: { previews: { hosts } },
    })
    const filled = await fillWithMedia(stack, bob)
    await using server = await ourServer(stack)
    const by = ['--homeserver-config', stack.synapse.configFile]
    const ran = await importInto(server, ...by)
    expect([ran.code, countsIn(ran.text)]).toEqual([
      0,
      {
        [ADOPTED]: filled.served.size + filled.quarantined.length,
        'passed over: reserved, never uploaded': 1,
        // The page as well.
        'passed over: pictures of URL previews': 2,
      },
    ])
    await expectMovedIn(stack, server, filled)
    const checked = await importInto(server, ...by, '--verify')
    expect([checked.code, checked.text]).toEqual([0, expect.stringContaining('All is here')])

    await using second = await ourServer(stack)
    const database = join(stack.synapse.configFile, '..', 'homeserver.db')
    const token = filled.alice.client.getAccessToken() ?? ''
    const copied = await importInto(second, '--database', database, '--token', token)
    expect([copied.code, countsIn(copied.text)]).toMatchObject([
      0,
      { [COPIED]: filled.served.size + filled.quarantined.length },
    ])
    await expectMovedIn(stack, second, filled)
    const wrong = await importInto(await ourServer(stack), '--database', database, '--token', 'wrong')
    expect([wrong.code, wrong.text]).toEqual([2, expect.stringContaining('refused the access token (401')])
  })

  test('on PostgreSQL, with files in a bucket only, into that bucket and into another place', PATIENT, async () => {
    await using database = await freshDatabase()
    await using s3 = await startVersitygw()
    await using stack = await startStack({
      host: 'two.test',
      media: 'synapse',
      hosts,
      authority,
      synapse: { previews: { hosts }, postgres: database.url, bucket: { options: s3.options, prefix: PREFIX } },
    })
    const filled = await fillWithMedia(stack, bob)
    // As s3_media_upload does it once they are in the bucket.
    for (const kind of ['local_content', 'remote_content']) {
      await rm(join(stack.synapse.mediaFolder, kind), { recursive: true })
    }
    const objects = await objectsIn(s3)
    await using server = await ourServer(stack, {
      datastores: [{ type: 's3', id: 'bucket', forKinds: ['all'], opts: s3.options }],
    })
    const by = ['--homeserver-config', stack.synapse.configFile]
    const ran = await importInto(server, ...by)
    expect([ran.code, countsIn(ran.text)], ran.text).toMatchObject([
      0,
      { [ADOPTED]: filled.served.size + filled.quarantined.length },
    ])
    // Nothing was copied, and what we delete is Synapse's still.
    expect(await objectsIn(s3)).toEqual(objects)
    await expectMovedIn(stack, server, filled)
    expect((await importInto(server, ...by, '--verify')).code).toBe(0)
    await expectDeletedHereOnly(server, s3, objects, filled)

    await using elsewhere = await ourServer(stack)
    const copied = await importInto(elsewhere, ...by)
    expect(countsIn(copied.text)).toMatchObject({ [COPIED]: filled.served.size + filled.quarantined.length })
    await expectMovedIn(stack, elsewhere, filled)
  })
})

async function expectMovedIn(stack: Stack, server: Server, { served, quarantined, alice }: Filled): Promise<void> {
  const client = mediaClient(server, alice.client.getAccessToken() ?? '', stack.name)
  for (const [name, hash] of served) {
    const { status, body } = await client.download(name, 0)
    expect([name, status, sha256(body)]).toEqual([name, 200, hash])
  }
  for (const name of quarantined) expect((await client.download(name, 0)).status, name).toBe(404)
  const [picture = ''] = served.keys()
  expect(await client.thumbnail(picture)).toBe(200)
  const answer = await fetch(`${server.url}/_matrix/client/v1/media/download/${picture}`, {
    headers: { authorization: `Bearer ${alice.client.getAccessToken()}`, 'x-forwarded-host': stack.name },
  })
  expect(answer.headers.get('content-type')).toBe('image/png')
  expect(answer.headers.get('content-disposition')).toContain(encodeURIComponent('naïve ✓ 画像.png'))
  // Synapse freezes what is uploaded to it since 1.120.
  const legacy = await fetch(`${server.url}/_matrix/media/v3/download/${picture}`, {
    headers: { 'x-forwarded-host': stack.name },
  })
  expect(legacy.status).toBe(404)
}

async function expectDeletedHereOnly(
  server: Server,
  s3: Versitygw,
  objects: readonly string[],
  { served, alice }: Filled,
): Promise<void> {
  const [, large = ''] = served.keys()
  const headers = {
    authorization: `Bearer ${alice.client.getAccessToken()}`,
    'x-forwarded-host': large.split('/')[0] ?? '',
  }
  const url = `${server.url}/_matrix/media/unstable/admin/purge/${large}`
  const deleted = await fetch(url, { method: 'POST', headers })
  expect([deleted.status, await deleted.text()]).toEqual([200, expect.anything()])
  expect((await fetch(`${server.url}/_matrix/client/v1/media/download/${large}`, { headers })).status).toBe(404)
  const left = await objectsIn(s3)
  expect(objects.filter((key) => !left.includes(key))).toEqual([])
}

const objectsIn = async (s3: Versitygw) => {
  const entries = await readdir(s3.folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return files
    .map((file) => file.slice(s3.folder.length + 1))
    .filter((key) => key.startsWith(PREFIX))
    .toSorted()
}

const importInto = (server: Server, ...args: readonly string[]) =>
  runCommand('cellarium', ['import', 'synapse', '-c', server.configFile, ...args], { folder: server.folder })
