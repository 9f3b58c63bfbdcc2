/**
 * A small internet: a DNS of its own, and machines at public addresses, each of which is a real TLS server on the loopback. Only
 * the last step of dialling is a double: it knows at which port of the loopback an address is.
 */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createPlainServer } from 'node:http'
import { createServer } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { networkRules } from '../../src/lib/addresses.ts'
import type { AddressRefused } from '../../src/lib/connect.ts'
import { type Dial, dial } from '../../src/lib/dial.ts'
import { NameLookup } from '../../src/lib/name-lookup.ts'
import { Door } from '../../src/lib/net.ts'
import { PRIVATE_NETWORKS } from '../../src/config/networks.ts'
import { type Authority, makeAuthority } from './authority.ts'
import { type DnsServer, startDns } from './dns-server.ts'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

export interface SeenRequest {
  /** `address:port` of the machine. */
  readonly at: string
  readonly host: string | undefined
  readonly serverName: string | undefined
  readonly path: string
  readonly headers: IncomingMessage['headers']
}

export interface MachineOptions {
  /** Names and addresses in its certificate; none: plain HTTP. */
  readonly certificate: readonly string[]
  readonly handler?: Handler
  /** Its certificate is by an authority that nobody trusts. */
  readonly strange?: boolean
}

export interface Machine {
  /** How many TCP connections it has taken. */
  readonly connections: () => number
}

export interface SmallInternet extends AsyncDisposable {
  readonly dns: DnsServer
  readonly authority: Authority
  readonly lookup: NameLookup
  readonly dial: Dial
  /** `address:port` of everything that was dialled. */
  readonly dialled: readonly string[]
  readonly requests: readonly SeenRequest[]
  readonly refused: readonly AddressRefused[]
  readonly door: Door
  readonly clock: { now(): number; wait(ms: number): void }
  /** Puts a machine at an address and port. */
  add(address: string, port: number, options: MachineOptions): Promise<Machine>
  /** Puts a server that listens on the loopback at an address and port. */
  place(address: string, port: number, loopbackPort: number): void
  /** Takes it away: nobody answers there any more. */
  remove(address: string, port: number): void
}

export const okay: Handler = (_, response) => void response.setHeader('content-type', 'application/json').end('{}')

/** Answers the well-known address with `m.server`, and 404 to all else. */
export const delegating =
  (to: string, headers: Readonly<Record<string, string>> = {}): Handler =>
  (request, response) => {
    if (request.url !== '/.well-known/matrix/server') {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': 'text/plain', ...headers }).end(JSON.stringify({ 'm.server': to }))
  }

export async function startSmallInternet(
  options: { readonly allowed?: readonly string[]; readonly disallowed?: readonly string[] } = {},
): Promise<SmallInternet> {
  await using cleanup = new AsyncDisposableStack()
  const dns = cleanup.use(await startDns())
  const [authority, stranger] = [cleanup.use(await makeAuthority()), cleanup.use(await makeAuthority())]
  const machines = cleanup.use(new AsyncDisposableStack())
  const places = new Map<string, number>()
  const dialled: string[] = []
  const requests: SeenRequest[] = []
  const refused: AddressRefused[] = []
  let now = 1_700_000_000_000
  const clock = { now: () => now, wait: (ms: number) => void (now += ms) }
  const mapped: Dial = async (addresses, port, dialOptions) => {
    for (const address of addresses) {
      dialled.push(`${address}:${port}`)
      const place = places.get(`${address}:${port}`)
      if (place !== undefined) return await dial(['127.0.0.1'], place, dialOptions)
    }
    throw new Error(`connect ECONNREFUSED ${addresses.join(', ')}:${port}`)
  }
  const lookup = new NameLookup({ clock, servers: [dns.address], hostsFile: '/nonexistent', tryMs: 400 })
  const { allowed = ['0.0.0.0/0', '::/0'], disallowed = PRIVATE_NETWORKS } = options
  const rules = networkRules({ section: 'federation', allowedNetworks: allowed, disallowedNetworks: disallowed })
  const door = cleanup.use(
    new Door({
      clock,
      lookup,
      rules: () => rules,
      dial: mapped,
      random: () => 0.5,
      onRefused: (refusal) => void refused.push(refusal),
      authorities: [authority.certificate],
    }),
  )
  const add = async (address: string, port: number, machine: MachineOptions): Promise<Machine> => {
    const { certificate, handler = okay, strange = false } = machine
    const at = `${address}:${port}`
    const listener = (request: IncomingMessage, response: ServerResponse) => {
      const serverName = (request.socket as TLSSocket).servername || undefined
      const { host } = request.headers
      requests.push({ at, host, serverName, path: request.url ?? '', headers: request.headers })
      handler(request, response)
    }
    const server =
      certificate.length === 0
        ? createPlainServer(listener)
        : createServer(await (strange ? stranger : authority).issue(...certificate), listener)
    let connections = 0
    server.on('connection', () => void connections++)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    machines.defer(async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    })
    const place = server.address()
    if (place === null || typeof place === 'string') throw new Error('the machine has no port')
    places.set(at, place.port)
    return { connections: () => connections }
  }
  const owned = cleanup.move()
  return {
    dns,
    authority,
    lookup,
    dial: mapped,
    dialled,
    requests,
    refused,
    door,
    clock,
    add,
    place: (address, port, loopbackPort) => void places.set(`${address}:${port}`, loopbackPort),
    remove: (address, port) => void places.delete(`${address}:${port}`),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
