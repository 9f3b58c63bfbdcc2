import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:http'
import { once } from 'node:events'

import type { Family } from '../lib/counts.ts'
import { ConfigError } from '../lib/errors.ts'
import { http } from '../lib/node-http.ts'
import type { Exposition } from '../lib/metrics-exposition.ts'
import { whyNotListening } from './listening.ts'

const PATHS = ['/metrics', '/_media/metrics']

/** MMR's `metrics` keys. */
export interface MetricsListenerOptions {
  readonly bindAddress: string
  /** 0 takes any free port. */
  readonly port: number
}

export interface MetricsListener extends AsyncDisposable {
  readonly port: number
}

/**
 * Serves the metrics in Prometheus's text format at `/metrics` and `/_media/metrics` (MMR's two paths), on a port of its own
 * that is not meant for the world. Throws `ConfigError` if the port cannot be had.
 */
export async function startMetricsListener(
  options: MetricsListenerOptions,
  metrics: { readonly families: readonly Family[] },
): Promise<MetricsListener> {
  const { openExposition } = await import('../lib/metrics-exposition.ts')
  const exposition = openExposition(metrics.families)
  const server = http.createServer((request, response) => {
    answer(request, response, exposition).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined)
    })
  })
  const port = await listen(server, options)
  return { port, [Symbol.asyncDispose]: () => close(server) }
}

async function answer(request: IncomingMessage, response: ServerResponse, exposition: Exposition): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0] ?? ''
  if (!PATHS.includes(path)) return end(response, 404, `Not found. Metrics are at ${PATHS.join(' and ')}.\n`)
  if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405, 'Only GET and HEAD.\n')
  end(response, 200, await exposition.render(), exposition.contentType)
}

function end(response: ServerResponse, status: number, body: string, contentType = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body) }).end(body)
}

async function listen(server: Server, { bindAddress, port }: MetricsListenerOptions): Promise<number> {
  const listening = once(server, 'listening')
  server.listen(port, bindAddress)
  try {
    await listening
  } catch (error) {
    const where = `${bindAddress}:${port} (metrics.bindAddress, metrics.port)`
    throw new ConfigError([`cannot listen on ${where}: ${whyNotListening(error)}`], { cause: error, mayPass: true })
  }
  const address = server.address()
  return typeof address === 'object' && address ? address.port : port
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
