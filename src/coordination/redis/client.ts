import type { ConnectionOptions } from 'node:tls'

/** Where a Redis server is and how it is spoken to. */
export interface RedisTarget {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly databaseNumber: number
  /** Undefined: without TLS. */
  readonly tls: ConnectionOptions | undefined
}

/** One connection of the library, with the little that is used of it. Replies are what Redis said, unchecked; bytes as Buffer. */
export interface RedisClient {
  command(words: readonly (string | Buffer)[]): Promise<unknown>
  subscribe(channel: string, listener: (text: string) => void): Promise<void>
  /** Breaks the connection; commands under way are rejected. */
  destroy(): void
}

/** Redis has understood and says no (out of memory, wrong type, not allowed): nothing is wrong with the connection. */
export class RedisRefused extends Error {
  override readonly name = 'RedisRefused'
}

export interface OpenOptions {
  /** Ends the attempt, and a connection that stands by then. */
  readonly signal: AbortSignal
  /** Called once when the connection breaks, or when what comes back is not Redis's protocol. */
  readonly onLost: (error: unknown) => void
}

/**
 * Opens a connection that is not opened again when it breaks. Here the library is loaded, so that a server without Redis
 * never does.
 */
export async function openClient(target: RedisTarget, { signal, onLost }: OpenOptions): Promise<RedisClient> {
  const { createClient, ErrorReply, RESP_TYPES } = await import('@redis/client')
  const client = createClient(clientOptions(target))
  let over = false
  const end = () => {
    over = true
    if (client.isOpen) client.destroy()
  }
  const lose = (error: unknown) => {
    if (over) return
    end()
    onLost(error)
  }
  // After an error no reply can be trusted to belong to its command.
  client.on('error', lose)
  client.on('end', () => lose(new Error('the connection was closed')))
  signal.addEventListener('abort', end, { once: true })
  try {
    await client.connect()
  } catch (error) {
    throw error instanceof ErrorReply ? new RedisRefused(error.message, { cause: error }) : error
  }
  if (signal.aborted) end()
  const options = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } }
  return {
    async command(words) {
      try {
        return await client.sendCommand([...words], options)
      } catch (error) {
        if (error instanceof ErrorReply) throw new RedisRefused(error.message, { cause: error })
        throw error
      }
    },
    subscribe: (channel, listener) => client.subscribe(channel, listener),
    destroy: end,
  }
}

function clientOptions(target: RedisTarget) {
  const { host, port, tls } = target
  const socket = { host, port, reconnectStrategy: false as const, keepAlive: true, noDelay: true }
  return {
    socket: tls ? { ...socket, ...tls, tls: true as const } : socket,
    ...(target.username === '' ? {} : { username: target.username }),
    ...(target.password === '' ? {} : { password: target.password }),
    database: target.databaseNumber,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled' as const,
    name: 'cellarium',
  }
}
