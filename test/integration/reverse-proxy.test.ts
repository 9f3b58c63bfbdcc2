import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApache } from '../support/apache.ts'
import { startCaddy } from '../support/caddy.ts'
import { startHaproxy } from '../support/haproxy.ts'
import { startNginx, type Nginx } from '../support/nginx.ts'
import type { PlainProxy, ProxyOptions } from '../support/plain-proxy.ts'
import { describeWith, type Service } from '../support/services.ts'

/** What a double behind the proxy was asked. */
interface Seen {
  readonly by: string
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  bytes: number
}

interface Proxy {
  readonly needs: readonly Service[]
  readonly start: (options: ProxyOptions) => Promise<PlainProxy | Nginx>
}

const PROXIES: readonly Proxy[] = [
  { needs: ['nginx', 'openssl'], start: startNginx },
  { needs: ['caddy'], start: startCaddy },
  { needs: ['apache2'], start: startApache },
  { needs: ['haproxy'], start: startHaproxy },
]

for (const { needs, start } of PROXIES) {
  const name = needs[0] ?? ''
  describeWith(needs, `The ${name} configuration of docs/reverse-proxy.md`, () => {
    const cleanup = new AsyncDisposableStack()
    const seen: Seen[] = []
    let proxy: PlainProxy | Nginx

    beforeAll(async () => {
      const cellariumPort = await startDouble(cleanup, 'Cellarium', seen)
      const homeserverPort = await startDouble(cleanup, 'homeserver', seen)
      proxy = cleanup.use(await start({ cellariumPort, homeserverPort, serverName: 'example.org' }))
    }, 60_000)
    afterAll(() => cleanup.disposeAsync())

    test.each([
      ['POST', '/_matrix/media/v3/upload'],
      ['GET', '/_matrix/media/r0/download/example.org/abc'],
      ['GET', '/_matrix/media/version'],
      ['GET', '/_matrix/media/unstable/admin/datastores'],
      ['GET', '/_matrix/client/v1/media/download/example.org/abc?timeout_ms=5'],
      ['GET', '/_matrix/client/v1/media/config'],
      ['GET', '/_matrix/federation/v1/media/download/abc'],
      ['POST', '/_matrix/client/v3/logout'],
      ['POST', '/_matrix/client/r0/logout/all'],
      ['OPTIONS', '/_matrix/client/v1/media/download/example.org/abc'],
    ])('%s %s goes to Cellarium', async (method, path) => {
      expect(await askedAt(method, path)).toMatchObject({ by: 'Cellarium', method, url: path })
    })

    test.each([
      ['GET', '/_matrix/client/versions'],
      ['GET', '/_matrix/client/v3/sync'],
      ['POST', '/_matrix/client/v3/login'],
      ['POST', '/_matrix/client/v3/logout/everything'],
      ['PUT', '/_matrix/federation/v1/send/1'],
      ['GET', '/_matrix/key/v2/server'],
      ['GET', '/_matrix/mediawiki'],
    ])('%s %s goes to the homeserver', async (method, path) => {
      expect(await askedAt(method, path)).toMatchObject({ by: 'homeserver', method, url: path })
    })

    test.each([
      '/_matrix/media/v3/download/example.org/a%2Fb',
      '/_matrix/media/v3/download/example.org/abc/a%20picture%E2%9C%93.png?x=%41%2F',
      '/_matrix/media/v3/download//abc',
      '/_matrix/media/v3/download/../../etc/passwd',
      '/_matrix/media/v3/download/%2e%2e/abc',
      '/_matrix/media/v3/download/[::1]:8448/abc',
    ])('passes the path on exactly as it came: %s', async (path) => {
      expect(await rawGet(proxy, path)).toContain(`Cellarium saw ${path}`)
    })

    test('The homeserver is named, and the caller cannot name another one or claim another address', async () => {
      const headers = {
        host: 'matrix.example.org',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-for': '198.51.100.7',
      }
      const { headers: arrived } = await askedAt('GET', '/_matrix/media/v3/config', headers)
      expect(arrived).toMatchObject({
        host: 'matrix.example.org',
        'x-forwarded-host': 'example.org',
        'x-forwarded-for': '127.0.0.1',
        // Caddy says how it was asked, and here it is asked without TLS.
        'x-forwarded-proto': name === 'caddy' ? 'http' : 'https',
      })
    })

    test('An upload of 200 MiB is not cut off, and reaches Cellarium while it comes in', async () => {
      const chunk = Buffer.alloc(1024 * 1024)
      let arrivedBeforeTheEnd = 0
      const body = async function* () {
        for (let sent = 0; sent < 199; sent++) yield chunk
        for (let waited = 0; (seen.at(-1)?.bytes ?? 0) < 100 * chunk.length && waited < 10_000; waited += 20)
          await pause(20)
        arrivedBeforeTheEnd = seen.at(-1)?.bytes ?? 0
        yield chunk
      }
      const path = '/_matrix/media/v3/upload'
      const answer = await proxy.agent.request({ origin: proxy.url, path, method: 'POST', body: Readable.from(body()) })
      await answer.body.dump()
      expect(answer.statusCode).toBe(200)
      expect(seen.at(-1)?.bytes).toBe(200 * chunk.length)
      expect(arrivedBeforeTheEnd).toBeGreaterThanOrEqual(100 * chunk.length)
    })

    // The others listen on one address for clients and homeservers alike.
    if (name === 'nginx') {
      test('Other homeservers reach Cellarium on their own port', async () => {
        if (!('federationUrl' in proxy)) throw new Error('only nginx listens for them here')
        const path = '/_matrix/federation/v1/media/download/abc'
        const { body } = await proxy.agent.request({ origin: proxy.federationUrl, path, method: 'GET' })
        expect(await body.text()).toContain(`Cellarium saw ${path}`)
      })
    }

    /** Sends a request through the proxy and gives what arrived behind it. */
    async function askedAt(method: string, path: string, headers: Record<string, string> = {}): Promise<Seen> {
      seen.length = 0
      const options = { origin: proxy.url, path, method, headers, body: method === 'POST' ? '{}' : null }
      const { statusCode, body } = await proxy.agent.request(options)
      await body.dump()
      expect(statusCode).toBe(200)
      const [only] = seen
      if (!only) throw new Error(`nothing behind the proxy was asked for ${path}`)
      return only
    }
  })
}

/** Answers everything with 200 and its own name, and notes what it was asked. Gives its port. */
async function startDouble(cleanup: AsyncDisposableStack, by: string, seen: Seen[]): Promise<number> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers } = request
    const asked: Seen = { by, method, url, headers, bytes: 0 }
    seen.push(asked)
    request.on('data', (chunk: Buffer) => (asked.bytes += chunk.length))
    request.on('end', () => response.end(`${by} saw ${url}`))
  })
  cleanup.defer(() => server.closeAllConnections())
  cleanup.defer(() => void server.close())
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const address: AddressInfo | string | null = server.address()
  if (!address || typeof address === 'string') throw new Error('the double does not listen on a port')
  return address.port
}

/** A GET whose path no client library tidies up; gives the whole answer. */
async function rawGet(proxy: PlainProxy | Nginx, path: string): Promise<string> {
  const address = { host: '127.0.0.1', port: Number(new URL(proxy.url).port) }
  const socket = 'certificate' in proxy ? connectTls({ ...address, ca: proxy.certificate }) : connect(address)
  socket.write(`GET ${path} HTTP/1.1\r\nHost: matrix.example.org\r\nConnection: close\r\n\r\n`)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return Buffer.concat(chunks).toString('latin1')
}
