import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type SecureVersion, type Server, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Connector, trust } from '../../src/lib/connect.ts'
import { dial } from '../../src/lib/dial.ts'
import { type Authority, makeAuthority } from '../support/authority.ts'
import { describeWith } from '../support/services.ts'

const NAME = 'remote.test'

describeWith('openssl', 'A server that is connected to again', () => {
  let authority: Authority

  beforeAll(async () => {
    authority = await makeAuthority()
  })
  afterAll(() => authority[Symbol.asyncDispose]())

  async function listen(version: SecureVersion) {
    const server = createServer({ ...(await authority.issue(NAME)), minVersion: version, maxVersion: version })
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    return {
      server,
      connector: new Connector(
        {
          clock: { now: () => performance.now() },
          lookup: { addresses: async () => ['127.0.0.1'] },
          rules: () => ({ refusalOf: () => undefined }),
          dial,
          random: () => 0.5,
          onRefused: () => {},
          secureContext: trust([authority.certificate]),
        },
        { targets: [{ host: NAME, port }], tlsName: NAME },
      ),
      [Symbol.asyncDispose]: async () => void (await once(server.close(), 'close')),
    }
  }

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('need not prove who it is a second time (%s)', async (version) => {
    await using remote = await listen(version)
    const { connector, server } = remote
    expect(await isResumed(connector, server)).toBe(false)
    expect(await isResumed(connector, server)).toBe(true)
    expect(await isResumed(connector, server)).toBe(true)
  })

  test('is connected to as at first when it remembers nothing', async () => {
    await using remote = await listen('TLSv1.3')
    const { connector, server } = remote
    await isResumed(connector, server)
    server.setTicketKeys(randomBytes(48))
    expect(await isResumed(connector, server)).toBe(false)
    expect(await isResumed(connector, server)).toBe(true)
  })

  test('is not connected to when it is another one by then', async () => {
    await using remote = await listen('TLSv1.3')
    const { connector, server } = remote
    await isResumed(connector, server)
    server.setTicketKeys(randomBytes(48))
    server.setSecureContext(await authority.issue('other.test'))
    await expect(connector.connect()).rejects.toThrow(/remote\.test.*altnames/)
    server.setSecureContext(await authority.issue(NAME))
    expect(await isResumed(connector, server)).toBe(false)
    expect(await isResumed(connector, server)).toBe(true)
  })
})

/** Whether it went on where the connection before had ended. */
async function isResumed(connector: Connector, server: Server): Promise<boolean> {
  const arrived = once(server, 'secureConnection') as Promise<[TLSSocket]>
  arrived.catch(() => {})
  const socket = await connector.connect()
  const [peer] = await arrived
  // What is said after the handshake comes with what it remembers.
  peer.end('welcome')
  socket.resume()
  await once(socket, 'close')
  return peer.isSessionReused()
}
