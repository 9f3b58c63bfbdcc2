/** Going back to a real Synapse: from one to us, and on to a fresh one of the same name. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Authority, makeAuthority } from '../support/authority.ts'
import { type Filled, fillWithMedia, ourServer, sha256 } from '../support/filled-synapse.ts'
import { countsIn, type Ran, runCommand } from '../support/importing.ts'
import type { Server } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'
import { type Person, type Stack, startStack } from '../support/stacks.ts'
import { startSynapse, type Synapse } from '../support/synapse.ts'

const PATIENT = { timeout: 180_000 }
const LINKED = 'brought there by a link'
const COPIED = 'brought there by a copy'

describeWith(['synapse', 'nginx', 'openssl', 'postgres'], 'Going back to a real Synapse', () => {
  const cleanup = new AsyncDisposableStack()
  const hosts = { 'back.test': '127.0.0.1', 'elsewhere.test': '127.0.0.1', 'page.test': '127.0.0.1' }
  let authority: Authority
  let stack: Stack
  let filled: Filled
  let server: Server

  beforeAll(async () => {
    authority = cleanup.use(await makeAuthority())
    setDefaultCACertificates([...getCACertificates('default'), authority.certificate])
    const other = cleanup.use(await startStack({ host: 'elsewhere.test', media: 'synapse', hosts, authority }))
    const bob: Person = await other.person('bob')
    const synapse = { previews: { hosts } }
    stack = cleanup.use(await startStack({ host: 'back.test', media: 'synapse', hosts, authority, synapse }))
    filled = await fillWithMedia(stack, bob)
    server = cleanup.use(await ourServer(stack))
    const imported = await runOurs('import', '--homeserver-config', stack.synapse.configFile)
    expect(imported.code, imported.text).toBe(0)
  }, 180_000)
  afterAll(() => cleanup.disposeAsync())

  test(
    'on SQLite, by links: it serves what we had, and makes thumbnails when they are asked for',
    PATIENT,
    async () => {
      await using fresh = await freshSynapse()
      const by = ['--homeserver-config', fresh.configFile]
      const rehearsed = await runOurs('export', ...by, '--dry-run')
      const all = filled.served.size + filled.quarantined.length
      expect([rehearsed.code, countsIn(rehearsed.text)]).toEqual([0, { 'would be brought there': all }])
      const ran = await runOurs('export', ...by)
      expect([ran.code, countsIn(ran.text)]).toEqual([0, { [LINKED]: all }])
      await expectQuarantines(fresh)
      await fresh.whileStopped(async () => {})
      await expectServed(fresh)
      const checked = await runOurs('export', ...by, '--verify')
      expect([checked.code, checked.text]).toEqual([0, expect.stringContaining('All is there')])
      const again = await runOurs('export', ...by)
      expect([again.code, countsIn(again.text)]).toEqual([0, { 'there already': all }])
    },
  )

  test('on PostgreSQL, by copies, with thumbnails that are made on the way', PATIENT, async () => {
    await using database = await freshDatabase()
    await using fresh = await freshSynapse(database.url)
    const by = ['--homeserver-config', fresh.configFile]
    const ran = await fresh.whileStopped(() => runOurs('export', ...by, '--copy', '--generate-thumbnails'))
    expect([ran.code, countsIn(ran.text)]).toEqual([0, { [COPIED]: filled.served.size + filled.quarantined.length }])
    const [picture = ''] = filled.served.keys()
    const [, id = ''] = picture.split('/')
    const thumbnails = join(fresh.mediaFolder, 'local_thumbnails', id.slice(0, 2), id.slice(2, 4), id.slice(4))
    const { width, height } = await sharp(await readFile(join(thumbnails, '96-96-image-png-crop'))).metadata()
    expect([width, height]).toEqual([96, 96])
    await expectServed(fresh)
    const checked = await runOurs('export', '--homeserver-config', fresh.configFile, '--verify')
    expect([checked.code, checked.text]).toEqual([0, expect.stringContaining('All is there')])
  })

  /** One of the same name, with nobody and nothing in it, which has been started once. */
  function freshSynapse(postgres?: string): Promise<Synapse> {
    return startSynapse({
      serverName: stack.name,
      servesMedia: true,
      federation: { hosts, authorityFile: authority.file },
      ...(postgres === undefined ? {} : { postgres }),
    })
  }

  const runOurs = (what: 'import' | 'export', ...args: readonly string[]): Promise<Ran> =>
    runCommand('cellarium', [what, 'synapse', '-c', server.configFile, ...args], { folder: server.folder })

  async function expectServed(fresh: Synapse): Promise<void> {
    const { accessToken } = await fresh.register('alice', 'a password for tests', { admin: true })
    const get = (path: string) => fetch(`${fresh.url}${path}`, { headers: { authorization: `Bearer ${accessToken}` } })
    for (const [name, hash] of filled.served) {
      const answer = await get(`/_matrix/client/v1/media/download/${name}`)
      const body = Buffer.from(await answer.arrayBuffer())
      expect([name, answer.status, sha256(body)]).toEqual([name, 200, hash])
      // What was frozen stays so.
      expect((await fetch(`${fresh.url}/_matrix/media/v3/download/${name}`)).status, name).toBe(404)
    }
    for (const name of filled.quarantined) {
      expect((await get(`/_matrix/client/v1/media/download/${name}`)).status, name).toBe(404)
    }
    const [picture = ''] = filled.served.keys()
    const answer = await get(`/_matrix/client/v1/media/download/${picture}`)
    expect(answer.headers.get('content-type')).toBe('image/png')
    expect(answer.headers.get('content-disposition')).toContain(encodeURIComponent('naïve ✓ 画像.png'))
    for (const size of ['width=96&height=96&method=crop', 'width=320&height=240&method=scale']) {
      const thumbnail = await get(`/_matrix/client/v1/media/thumbnail/${picture}?${size}`)
      const { width } = await sharp(Buffer.from(await thumbnail.arrayBuffer())).metadata()
      expect([thumbnail.status, width]).toEqual([200, size.startsWith('width=96') ? 96 : 300])
    }
    await expectRecorded(get)
  }

  /** What Synapse's own administration says of them, against what that of the first one said. */
  async function expectRecorded(get: (path: string) => Promise<Response>): Promise<void> {
    const { quarantined, protectedName, alice } = filled
    for (const name of [...filled.served.keys(), ...quarantined]) {
      const path = `/_synapse/admin/v1/media/${name}`
      const before = await fetch(`${stack.homeserverUrl}${path}`, {
        headers: { authorization: `Bearer ${alice.client.getAccessToken()}` },
      })
      const is = recorded((await (await get(path)).json()) as Info)
      expect([name, is]).toEqual([name, recorded((await before.json()) as Info)])
      if (name === protectedName) expect(is['safe_from_quarantine']).toBe(1)
    }
    const changes = await get('/_synapse/admin/v1/media/quarantine_changes')
    const { changes: told } = (await changes.json()) as { changes: { media_id: string; quarantined: boolean }[] }
    const ids = quarantined.map((name) => name.split('/')[1] ?? '')
    expect(changes.status).toBe(200)
    expect(told.map(({ media_id }) => media_id)).toEqual(expect.arrayContaining(ids))
  }
})

/** It can quarantine what it has, although rows were brought under it. */
async function expectQuarantines(fresh: Synapse): Promise<void> {
  const { accessToken } = await fresh.register('carol', 'a password for tests', { admin: true })
  const headers = { authorization: `Bearer ${accessToken}` }
  const post = (path: string) => fetch(`${fresh.url}${path}`, { method: 'POST', headers, body: `{"by":"${path}"}` })
  for (let some = 0; some < 3; some++) {
    const uploaded = await post(`/_matrix/media/v3/upload?filename=${some}`)
    const { content_uri: uri } = (await uploaded.json()) as { readonly content_uri: string }
    const path = `/_synapse/admin/v1/media/quarantine/${uri.slice('mxc://'.length)}`
    expect((await post(path)).status, path).toBe(200)
  }
}

interface Info {
  readonly media_info: Readonly<Record<string, unknown>>
}

/** Without where the file is, and its last use, which goes on; truth as SQLite has it. */
function recorded({ media_info }: Info): Readonly<Record<string, unknown>> {
  const kept = Object.entries(media_info).filter(([key]) => !['filesystem_id', 'last_access_ts'].includes(key))
  return Object.fromEntries(kept.map(([key, value]) => [key, typeof value === 'boolean' ? Number(value) : value]))
}
