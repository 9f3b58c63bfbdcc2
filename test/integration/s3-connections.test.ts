import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import {
  createServer as createPlainServer,
  type IncomingMessage,
  request as requestPlainly,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer, request as requestOverTls } from 'node:https'
import { type AddressInfo, createServer as createRawServer, type Server } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openAgents } from '../../src/datastores/s3/agents.ts'
import { makeCertificate } from '../support/certificate.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith } from '../support/services.ts'

const MIB = 1024 * 1024

let cleanup: AsyncDisposableStack
let agents: ReturnType<typeof openAgents>
beforeEach(() => {
  cleanup = new AsyncDisposableStack()
  agents = openAgents()
  cleanup.defer(() => {
    agents.httpAgent.destroy()
    agents.httpsAgent.destroy()
  })
})
afterEach(() => cleanup.disposeAsync())

describe('Connections to S3', () => {
  test('bodies that come at the same time stay apart', async () => {
    await expectBodiesApart(createPlainServer(), get)
  })

  test('a body is not read faster than somebody takes it', async () => {
    let sent = 0
    const send = async (response: ServerResponse) => {
      for (; sent < 64 && !response.destroyed; sent++) {
        if (!response.write(Buffer.alloc(MIB))) await Promise.race([once(response, 'drain'), once(response, 'close')])
      }
    }
    const server = createPlainServer((_, response) => void send(response))
    const answer = await get(await listen(server))
    await once(answer, 'readable')
    await pause(500)
    expect(sent).toBeLessThan(48)
    answer.destroy()
  })

  test('what comes between two requests is not taken for the answer to the second', async () => {
    let connections = 0
    const server = createRawServer((socket) => {
      const answer = `HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${++connections}`
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write(answer)
        setTimeout(() => socket.write(answer), 50)
      })
    })
    const port = await listen(server)
    expect(String(await buffer(await get(port)))).toBe('1')
    await expect.poll(() => Object.values(agents.httpAgent.freeSockets), { timeout: 10_000 }).toEqual([])
    expect(String(await buffer(await get(port)))).toBe('2')
  })
})

describeWith('openssl', 'Connections to S3 over TLS', () => {
  test('bodies that come at the same time stay apart', async () => {
    const { path } = cleanup.use(await temporaryFolder())
    const cert = await makeCertificate(path)
    const server = createTlsServer({ cert, key: await readFile(join(path, 'key.pem')) })
    const { httpsAgent: agent } = agents
    await expectBodiesApart(server, (port) => answerOf(requestOverTls({ host: '127.0.0.1', port, agent, ca: cert })))
  })
})

/** Eight answers of 3 MiB, two after the other on each of four connections. */
async function expectBodiesApart(server: Server, ask: typeof get): Promise<void> {
  const bodies = Array.from({ length: 8 }, () => randomBytes(3 * MIB))
  const [toSend, connections] = [[...bodies], new Set<unknown>()]
  server.on('request', (request: IncomingMessage, response) => {
    connections.add(request.socket)
    response.end(toSend.shift())
  })
  const port = await listen(server)
  const received: Buffer[] = []
  for (let round = 0; round < 2; round++) {
    received.push(...(await Promise.all(Array.from({ length: 4 }, async () => buffer(await ask(port))))))
  }
  expect(received.map(sha256).toSorted()).toEqual(bodies.map(sha256).toSorted())
  expect(connections.size).toBe(4)
}

const sha256 = (body: Buffer) => hash('sha256', body)

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  cleanup.defer(async () => void server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const get = (port: number) => answerOf(requestPlainly({ host: '127.0.0.1', port, agent: agents.httpAgent }))

async function answerOf(request: ReturnType<typeof requestPlainly>): Promise<IncomingMessage> {
  request.end()
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  return answer
}
