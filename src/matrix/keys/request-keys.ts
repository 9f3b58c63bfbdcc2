import { Buffer } from 'node:buffer'
import type { RequestKeys } from './ask-keys.ts'

/** How other servers are reached, as far as it is needed here. */
export interface ServersToAsk {
  request(
    server: string,
    request: {
      readonly method: 'GET' | 'POST'
      readonly path: string
      readonly headers: Readonly<Record<string, string>>
      readonly body?: string
      readonly signal: AbortSignal
      readonly idleMs: number
    },
  ): Promise<{ readonly status: number; readonly body: AsyncIterable<Uint8Array> }>
}

const IDLE_MS = 10_000

/** Asks for keys through the connections that all requests to other servers take, and reads the answers up to their limit. */
export function requestKeysFrom(servers: ServersToAsk): RequestKeys {
  return async ({ destination, method, path, body, maxBytes, signal }) => {
    const content: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    const answer = await servers.request(destination, {
      method,
      path,
      headers: { accept: 'application/json', ...content },
      ...(body === undefined ? {} : { body: body.toString() }),
      signal,
      idleMs: IDLE_MS,
    })
    return { status: answer.status, body: await readUpTo(answer.body, maxBytes) }
  }
}

/** Leaving the loop early ends the stream. */
async function readUpTo(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > maxBytes) throw new Error(`answered with more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
