/** Moving in from real Synapses, which federate, while they run. */
import { createHash, randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Authority, makeAuthority } from '../support/authority.ts'
import { temporaryFolder } from '../support/folder.ts'
import { countsIn, runCommand } from '../support/importing.ts'
import { fetchAs } from '../support/matrix-client.ts'
import { mediaClient } from '../support/media-client.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith, freshDatabase, freePort } from '../support/services.ts'
import { type Person, type Stack, startStack } from '../support/stacks.ts'
import { startVersitygw, type Versitygw } from '../support/versitygw.ts'
import { startPage } from '../support/preview-page.ts'

const PATIENT = { timeout: 180_000 }
const ADOPTED = 'imported where they are, by a link or in their bucket'
const COPIED = 'imported by a copy'
const PREFIX = 'synapse/'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const nameOf = (mxc: string) => mxc.slice('mxc://'.length)

/** What a Synapse was made to have, by its own API. */
interface Filled {
  /** Names that clients get, and the hash of what they got. */
  readonly served: ReadonlyMap<string, string>
  readonly quarantined: readonly string[]
  readonly protectedName: string
  readonly alice: Person
}

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
    const filled = await fill(stack)
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
    const filled = await fill(stack)
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
    expect([ran.code, countsIn(ran.text)]).toMatchObject([
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

  /** Local and remote, quarantined, protected, pending, previews, Unicode names, no bytes. */
  async function fill(stack: Stack): Promise<Filled> {
    const alice = await stack.person('alice')
    const served = new Map<string, string>()
    const upload = async (by: Person, bytes: Buffer<ArrayBuffer>, name: string, type = 'application/octet-stream') => {
      const mxc = await by.upload(bytes, { name, type })
      served.set(nameOf(mxc), sha256(bytes))
      return nameOf(mxc)
    }
    const picture = await sharp({ create: { width: 300, height: 200, channels: 3, background: '#c04020' } })
      .png()
      .toBuffer()
    await upload(alice, Buffer.from(picture), 'naïve ✓ 画像.png', 'image/png')
    await upload(alice, Buffer.from(randomBytes(300_000)), 'large.bin')
    await upload(alice, Buffer.alloc(0), 'nothing')
    const protectedName = await upload(alice, Buffer.from('a sticker'), 'sticker.txt', 'text/plain')
    const abuse = await upload(alice, Buffer.from(`abuse ${stack.name}`), 'abuse')
    const theirs = await upload(bob, Buffer.from(randomBytes(50_000)), 'theirs.bin')
    const theirAbuse = await upload(bob, Buffer.from(`their abuse ${stack.name}`), 'their abuse')
    for (const name of [theirs, theirAbuse]) expect((await alice.get(`mxc://${name}`)).status).toBe(200)
    const post = async (path: string) => {
      const answer = await fetchAs(alice.client, `${stack.homeserverUrl}${path}`, { method: 'POST', body: '{}' })
      expect(answer.status, path).toBe(200)
    }
    await post(`/_synapse/admin/v1/media/protect/${protectedName.split('/')[1]}`)
    const quarantined = [abuse, theirAbuse]
    for (const name of quarantined) await post(`/_synapse/admin/v1/media/quarantine/${name}`)
    for (const name of quarantined) served.delete(name)
    await post('/_matrix/media/v1/create')
    await using page = await startPage(await freePort(), picture)
    const query = new URLSearchParams({ url: `http://page.test:${page.port}/` })
    const address = `${stack.homeserverUrl}/_matrix/client/v1/media/preview_url?${query.toString()}`
    const preview = await fetchAs(alice.client, address)
    expect(await preview.json()).toMatchObject({ 'og:image': expect.stringMatching(/^mxc:/) })
    return { served, quarantined, protectedName, alice }
  }
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

/** A Cellarium for the homeserver, with nothing in it. */
async function ourServer(stack: Stack, config: Readonly<Record<string, unknown>> = {}): Promise<Server> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const server = cleanup.use(
    await startServer({
      folder,
      config: {
        homeservers: [{ name: stack.name, csApi: stack.homeserverUrl, adminApiKind: 'synapse' }],
        admins: [`@alice:${stack.name}`],
        uploads: { minBytes: 0 },
        quarantine: { replaceThumbnails: false },
        ...config,
      },
    }),
  )
  const owned = cleanup.move()
  return { ...server, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const importInto = (server: Server, ...args: readonly string[]) =>
  runCommand('cellarium', ['import', 'synapse', '-c', server.configFile, ...args], { folder: server.folder })
