import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { createServer as createPlainServer } from 'node:http'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { eventually } from '../support/app.ts'
import { makeAuthority } from '../support/authority.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type Server as Cellarium, startServer } from '../support/server.ts'
import { describeWith } from '../support/services.ts'

const SECRET = 'shared-secret'

/** Cellarium as a process of its own, which may federate with this machine, and knows it as `remote.test`. */
async function start(env: Record<string, string>): Promise<Cellarium & { readonly hosts: string }> {
  const folder = await temporaryFolder()
  const hosts = join(folder.path, 'hosts')
  await writeFile(hosts, '127.0.0.1 remote.test\n')
  const config = {
    homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
    sharedSecretAuth: { enabled: true, token: SECRET },
    federation: { disallowedNetworks: [] },
  }
  const server = await startServer({ folder: folder.path, config, env: { CELLARIUM_HOSTS_FILE: hosts, ...env } })
  return {
    ...server,
    hosts,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

async function ask(cellarium: Cellarium, server: string) {
  const response = await fetch(`${cellarium.url}/_matrix/media/unstable/admin/federation/test/${server}`, {
    headers: { authorization: `Bearer ${SECRET}`, 'x-forwarded-host': 'example.org' },
  })
  return { status: response.status, json: (await response.json()) as Record<string, unknown> }
}

async function listen(server: Server): Promise<{ readonly port: number } & AsyncDisposable> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    [Symbol.asyncDispose]: async () => void server.close(),
  }
}

/** Lines reach the terminal a moment after what they tell of. */
async function untilLogged({ lines }: Cellarium, text: RegExp): Promise<void> {
  await eventually(async () => text.test(lines.join('\n')), 20_000)
}

describeWith('openssl', 'For other servers', () => {
  test('the authorities in NODE_EXTRA_CA_CERTS and of the system (SSL_CERT_FILE) are trusted, and no others', async () => {
    await using authority = await makeAuthority()
    await using remote = await listen(
      createServer(await authority.issue('remote.test'), (_, response) => void response.end('{}')),
    )
    const name = `remote.test:${remote.port}`
    await using strict = await start({})
    expect((await ask(strict, name)).json['error']).toMatch(/certificate/)
    await using extra = await start({ NODE_EXTRA_CA_CERTS: authority.file })
    expect(await ask(extra, name)).toMatchObject({ status: 200, json: { hostname: name } })
    await using system = await start({ SSL_CERT_FILE: authority.file })
    expect(await ask(system, name)).toMatchObject({ status: 200 })
  }, 90_000)

  test('certificates are not checked with MEDIA_REPO_UNSAFE_FEDERATION, which is said loudly', async () => {
    await using authority = await makeAuthority()
    await using remote = await listen(
      createServer(await authority.issue('other.test'), (_, response) => void response.end('{}')),
    )
    await using unsafe = await start({ MEDIA_REPO_UNSAFE_FEDERATION: 'true' })
    expect(await ask(unsafe, `remote.test:${remote.port}`)).toMatchObject({ status: 200 })
    await untilLogged(unsafe, /THE CERTIFICATES OF OTHER SERVERS ARE NOT CHECKED/)
  }, 60_000)

  test('plain HTTP is spoken with MEDIA_REPO_HTTP_ONLY_FEDERATION, which is said loudly', async () => {
    await using remote = await listen(createPlainServer((_, response) => void response.end('{}')))
    await using plain = await start({ MEDIA_REPO_HTTP_ONLY_FEDERATION: 'true' })
    const name = `remote.test:${remote.port}`
    expect(await ask(plain, name)).toMatchObject({ status: 200, json: { base_url: `http://${name}` } })
    await untilLogged(plain, /OTHER SERVERS ARE ASKED WITHOUT ENCRYPTION/)
  }, 60_000)

  test('a proxy is not used, and the start says so', async () => {
    await using authority = await makeAuthority()
    await using remote = await listen(
      createServer(await authority.issue('remote.test'), (_, response) => void response.end('{}')),
    )
    let asked = 0
    const proxyServer = createPlainServer((_, response) => void response.end(String(asked++)))
    proxyServer.on('connect', (_, socket) => void (asked++, socket.destroy()))
    await using proxy = await listen(proxyServer)
    await using behind = await start({
      HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`,
      NODE_USE_ENV_PROXY: '1',
      NODE_EXTRA_CA_CERTS: authority.file,
    })
    expect(await ask(behind, `remote.test:${remote.port}`)).toMatchObject({ status: 200 })
    expect(asked).toBe(0)
    await untilLogged(behind, /HTTPS_PROXY is set, and not used for other servers/)
  }, 60_000)

  test('a network that is none is refused at the start', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'cellarium.yaml')
    for (const network of ['10.0.0.0/33', '10/8', '0x7f.1/8', 'example.org', '10.0.0.1', '::ffff:10.0.0.0/8']) {
      await writeFile(
        path,
        `homeservers: [{name: a.test, csApi: 'http://127.0.0.1:9'}]\nfederation: {disallowedNetworks: ['${network}']}\n`,
      )
      const checked = promisify(execFile)(process.execPath, ['bin/cellarium.js', 'config', 'check', '--config', path])
      await expect(checked).rejects.toMatchObject({
        code: expect.any(Number),
        message: expect.stringContaining('a network like 10.0.0.0/8'),
      })
    }
  }, 60_000)
})
