/**
 * What Node alone makes of an answer that it only passes on: no names, rights, signatures, hashes, files. The least that a server
 * written in it adds. Prints its port. Arguments: the other server's port; for TLS the file of the certificate authority; and `close`
 * to use each connection to it only once.
 */
import { readFileSync } from 'node:fs'
import { Agent, createServer, get } from 'node:http'
import { Agent as TlsAgent, get as getOverTls } from 'node:https'
import type { AddressInfo } from 'node:net'

const [port = '', authority = '', after = ''] = process.argv.slice(2)
const pool = { keepAlive: after !== 'close' }
const [ask, agent] = authority
  ? [getOverTls, new TlsAgent({ ...pool, ca: readFileSync(authority) })]
  : [get, new Agent(pool)]

const server = createServer(({ url = '' }, response) => {
  const asking = ask({ port, host: '127.0.0.1', path: url, agent }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  asking.on('error', () => response.destroy())
})
// Longer than any row: no measurement is to meet a connection that ends.
server.keepAliveTimeout = 600_000
server.listen(0, '127.0.0.1', () => console.log(`port ${(server.address() as AddressInfo).port}`))
