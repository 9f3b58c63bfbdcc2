/** matrix-docker-ansible-deploy's configuration of matrix-media-repo, with nothing changed but the image. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseKeys } from '../../src/matrix/keys/key-files.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { mediaClient } from '../support/media-client.ts'
import { runProgram, startProgram, untilReady } from '../support/processes.ts'
import { describeWith, freePort, freshDatabase } from '../support/services.ts'

const fixture = (name: string) => readFile(new URL(`../fixtures/playbook/${name}`, import.meta.url), 'utf8')
const program = (name: string) => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))
const HOMESERVER_KEY = 'ed25519 a_synapse AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n'

/** Puts in what differs from one server to the next; each has to be there. */
function adapted(text: string, changes: readonly (readonly [string, string])[]): string {
  return changes.reduce((changed, [theirs, ours]) => {
    expect(changed).toContain(theirs)
    return changed.replace(theirs, () => ours)
  }, text)
}

describeWith('postgres', "The playbook's role, with only the image changed", () => {
  test('its configuration is accepted, serves, and has the metrics, logouts and signing key that it expects', async () => {
    await using folder = await temporaryFolder({ 'homeserver/signing.key': HOMESERVER_KEY })
    await using database = await freshDatabase()
    await using homeserver = await startHomeserver()
    homeserver.addUser({ token: 'alice-token', userId: '@alice:example.org' })
    const [port, metricsPort] = [await freePort(), await freePort()]
    const [config, data] = [join(folder.path, 'config'), join(folder.path, 'data')]
    await mkdir(config)
    await mkdir(data)
    const text = adapted(await fixture('config/media-repo.yaml'), [
      ['postgres://matrix_media_repo:secret@matrix-postgres:5432/matrix_media_repo?sslmode=disable', database.url],
      ['http://matrix-synapse:8008', homeserver.url],
      ['port: 8000', `port: ${port}`],
      ['port: 9000', `port: ${metricsPort}`],
      ['/config/matrix', join(config, 'matrix')],
      ['/data/media', join(data, 'media')],
    ])
    await writeFile(join(config, 'media-repo.yaml'), text)
    const environment = {
      PATH: process.env['PATH'],
      REPO_CONFIG: join(config, 'media-repo.yaml'),
      CELLARIUM_DATA: data,
    }

    // The role's steps at installation, in its folders, by bare names.
    const run = (name: string, ...args: string[]) =>
      runProgram({ command: [process.execPath, program(name), ...args], folder: config, environment })
    await run('generate_signing_key', '-output', 'matrix-media-repo.signing.key.TEMP')
    const merged = join(folder.path, 'homeserver/signing.key.merged')
    const theirs = join(folder.path, 'homeserver/signing.key')
    await run(
      'combine_signing_keys',
      '-format',
      'synapse',
      '-output',
      merged,
      theirs,
      'matrix-media-repo.signing.key.TEMP',
    )
    const keys = parseKeys(await readFile(merged, 'utf8'), merged)
    expect(keys.map(({ id }) => id)).toEqual(['ed25519:a_synapse', expect.stringMatching(/^ed25519:\w{6}$/)])
    await run(
      'generate_signing_key',
      '-input',
      'matrix-media-repo.signing.key.TEMP',
      '-output',
      'matrix-media-repo.signing.key',
    )
    await chmod(config, 0o555)

    const checked = await run('cellarium', 'config', 'check')
    expect(checked).toContain('The configuration can be used: 1 homeserver, 1 datastore.')

    await using server = await startProgram({
      command: [process.execPath, program('media_repo')],
      folder: data,
      environment,
    })
    const url = `http://127.0.0.1:${port}`
    await untilReady(server, async () => (await fetch(`${url}/healthz`)).ok)
    const alice = mediaClient({ url }, 'alice-token')
    const { status, media } = await alice.upload(Buffer.alloc(200, 'a'))
    expect(status).toBe(200)
    expect((await alice.download(media)).status).toBe(200)

    // The role rewrites its public metrics path to /metrics.
    expect(await fixture('labels')).toContain('replacepath.path=/metrics')
    const metrics = await fetch(`http://127.0.0.1:${metricsPort}/metrics`)
    expect([metrics.status, await metrics.text()]).toEqual([200, expect.stringContaining('media_http_requests_total')])

    // Every version that its logout route sends here, not only those that Matrix has.
    for (const path of ['r0/logout', 'v1/logout', 'v3/logout', 'unstable/logout', 'v3/logout/all', 'r0/logout/all']) {
      homeserver.addUser({ token: `token-${path}`, userId: '@alice:example.org' })
      const headers = { Authorization: `Bearer token-${path}`, 'X-Forwarded-Host': 'example.org' }
      const answer = await fetch(`${url}/_matrix/client/${path}`, { method: 'POST', headers })
      expect([path, answer.status]).toEqual([path, 200])
    }
    expect(await server.stop('SIGTERM')).toEqual({ code: 0, signal: null })
  })
})

test('The labels of docs/playbook.md send the same paths here as docs/synapse-admin-api.md says', async () => {
  const rules = ['playbook', 'synapse-admin-api'].map(async (name) => {
    const page = await readFile(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8')
    return /PathRegexp\(`\^\/_synapse[^`]*`\)/.exec(page)?.[0]
  })
  const [playbook, api] = await Promise.all(rules)
  expect(playbook).toBe(api)
  expect(playbook).toContain('quarantine_media')
})
