/** Other homeservers get our media through the proxies of docs/reverse-proxy.md: what they signed arrives as they signed it. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { boundaryOf, readMixed } from '../../src/matrix/mixed.ts'
import { startApache } from '../support/apache.ts'
import { type AskedByServers, startAskedByServers } from '../support/asking-server.ts'
import { startCaddy } from '../support/caddy.ts'
import { newKey } from '../support/key-servers.ts'
import { type Nginx, startNginx } from '../support/nginx.ts'
import type { PlainProxy, ProxyOptions } from '../support/plain-proxy.ts'
import { describeWith, freePort, type Service } from '../support/services.ts'

type Start = (options: ProxyOptions) => Promise<PlainProxy | Nginx>

/** With the answer to two `Authorization` headers: nginx refuses such requests before anybody sees them. */
const PROXIES: readonly (readonly [readonly Service[], Start, number])[] = [
  [['nginx', 'openssl'], startNginx, 400],
  [['caddy', 'openssl'], startCaddy, 200],
  [['apache2', 'openssl'], startApache, 200],
]

for (const [needs, start, several] of PROXIES) {
  describeWith(needs, `Another homeserver, through ${needs[0] ?? ''}`, () => {
    const cleanup = new AsyncDisposableStack()
    const body = randomBytes(3_000_000)
    let servers: AskedByServers
    let proxy: PlainProxy | Nginx
    let id = ''

    beforeAll(async () => {
      servers = cleanup.use(await startAskedByServers())
      id = (await servers.app.upload(body)).split('/')[1] ?? ''
      const homeserverPort = await freePort()
      proxy = cleanup.use(await start({ cellariumPort: servers.app.port, homeserverPort, serverName: 'example.org' }))
    }, 60_000)
    afterAll(() => cleanup.disposeAsync())

    /** Asks with these `Authorization` headers. */
    async function ask(path: string, authorizations: readonly string[]) {
      const headers = ['host', 'matrix.example.org', ...authorizations.flatMap((one) => ['authorization', one])]
      const options = {
        origin: proxy.url,
        path: `/_matrix/federation/v1/media/${path}`,
        method: 'GET',
        headers,
      } as const
      const { statusCode, headers: got, body: received } = await proxy.agent.request(options)
      return { status: statusCode, headers: got, body: Buffer.from(await received.arrayBuffer()) }
    }

    test.each([
      '',
      '?timeout_ms=20000',
      '?timeout_ms=20000&allow_redirect=true&x=%2F+%41%C3%A4&&y=a%20b',
      '?x=[1]&y={2}|"',
    ])('gets a file with the query %s', async (query) => {
      const path = `download/${id}${query}`
      const { status, headers, body: received } = await ask(path, [servers.authorization(path)])
      expect(status, received.toString().slice(0, 300)).toBe(200)
      expect(headers['content-length']).toBe(String(received.length))
      const read = await readMixed(one(received), boundaryOf(String(headers['content-type'])) ?? '')
      const chunks: Uint8Array[] = []
      for await (const chunk of read.body) chunks.push(Buffer.from(chunk))
      expect(Buffer.concat(chunks).equals(body)).toBe(true)
    })

    test('with several signatures is answered as documented', async () => {
      const path = `download/${id}`
      const unlisted = servers.authorization(path, { key: newKey('next') })
      expect((await ask(path, [unlisted, servers.authorization(path)])).status).toBe(several)
    })
  })
}

async function* one(bytes: Uint8Array) {
  yield bytes
}
