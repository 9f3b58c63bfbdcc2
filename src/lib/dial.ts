import { connect, isIPv6, type Socket } from 'node:net'

/** Opens a TCP connection to the first of some addresses that takes one. */
export type Dial = (addresses: readonly string[], port: number, options: DialOptions) => Promise<Socket>

export interface DialOptions {
  /** For all addresses together, in ms. */
  readonly timeoutMs: number
}

/** How long an address has for itself before the next is tried beside it (RFC 8305 §5). */
const NEXT_AFTER_MS = 250

/**
 * Happy Eyeballs (RFC 8305): IPv6 and IPv4 in turn, each begun a quarter of a second after the one before, or as soon as that
 * has failed; the first connection is used and the others are dropped. Node's own version gives each address up after that
 * time, and with it servers that are far away. Dials addresses only, never names: what was checked is what is dialled.
 *
 * @throws {Error} when none takes a connection in time, with the reason of each
 */
export const dial: Dial = (addresses, port, { timeoutMs }) => {
  const waiting = inTurn(addresses)
  const trying = new Set<Socket>()
  const failures: string[] = []
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  let next: NodeJS.Timeout | undefined

  const end = () => {
    clearTimeout(deadline)
    clearTimeout(next)
    waiting.length = 0
    for (const socket of trying) socket.destroy()
  }
  const fail = (why: string) => {
    end()
    reject(new Error(`cannot connect: ${why}`))
  }
  const tryNext = () => {
    clearTimeout(next)
    const address = waiting.shift()
    if (address === undefined) return
    const socket = connect({ host: address, port, noDelay: true, keepAlive: true })
    trying.add(socket)
    socket.once('connect', () => {
      trying.delete(socket)
      end()
      socket.removeAllListeners('error')
      resolve(socket)
    })
    socket.once('error', (error) => {
      trying.delete(socket)
      failures.push(error.message)
      if (waiting.length > 0) tryNext()
      else if (trying.size === 0) fail(failures.join('; '))
    })
    if (waiting.length > 0) next = setTimeout(tryNext, NEXT_AFTER_MS)
  }
  const deadline = setTimeout(() => {
    const silent = [...addresses].join(', ')
    fail([...failures, `no answer from ${silent} port ${port} within ${timeoutMs} ms`].join('; '))
  }, timeoutMs)
  if (waiting.length === 0) fail('there are no addresses')
  tryNext()
  return promise
}

/** IPv6 first, then the families in turn (RFC 8305 §4). */
function inTurn(addresses: readonly string[]): string[] {
  const six = addresses.filter((address) => isIPv6(address))
  const four = addresses.filter((address) => !isIPv6(address))
  const longer = Math.max(six.length, four.length)
  return Array.from({ length: longer }, (_, index) => [six[index], four[index]])
    .flat()
    .filter((address) => address !== undefined)
}
