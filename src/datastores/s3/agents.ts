import type { Agent, AgentOptions } from 'node:http'
import type { Agent as TlsAgent } from 'node:https'
import type { OnReadOpts, Socket } from 'node:net'
import { http, https } from '../../lib/node-http.ts'

/** Bytes that are read from a connection at once, at the most. */
const READ_AT_ONCE = 256 * 1024

/**
 * How to connect to a service, plainly and over TLS: connections are kept for the next request, and all of them read into one
 * buffer. Node's usual way is a new piece of memory for each read, which is copied for the body and left to the collector: a
 * download took twice the processor time (docs/performance.md).
 */
export function openAgents(): { readonly httpAgent: Agent; readonly httpsAgent: TlsAgent } {
  // Agents hand whatever they are given to `net.connect` and `tls.connect`; their types know it of the former only.
  const options: AgentOptions & { readonly onread: OnReadOpts } = { keepAlive: true, onread: intoOneBuffer() }
  return { httpAgent: new http.Agent(options), httpsAgent: new https.Agent(options) }
}

/** Node's HTTP client copies what it keeps of a chunk before it returns, so that the buffer is free for the next read. */
function intoOneBuffer(): OnReadOpts {
  return {
    buffer: Buffer.allocUnsafeSlow(READ_AT_ONCE),
    callback(this: Socket, length, buffer) {
      this.emit('data', buffer.subarray(0, length))
      return true
    },
  }
}
