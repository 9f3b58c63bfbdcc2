import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { startTracing, wantsTracing } from './telemetry-tracing.ts'

let collector: Server
let endpoint: string
let received: { path: string; body: string }[]

beforeEach(async () => {
  received = []
  collector = createServer((request, response) => {
    void collect(request, response)
  }).listen(0, '127.0.0.1')
  await once(collector, 'listening')
  const address = collector.address()
  endpoint = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})

afterEach(async () => {
  collector.closeAllConnections()
  collector.close()
  await once(collector, 'close')
})

test.each([
  [{}, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
  [{ OTEL_SERVICE_NAME: 'media' }, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318' }, true],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://localhost:4318/v1/traces' }, true],
  [{ OTEL_TRACES_EXPORTER: 'console' }, true],
  [{ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318' }, false],
  [{ OTEL_SDK_DISABLED: 'TRUE', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318' }, false],
])('with %j in the environment, tracing is %s', (env, wanted) => {
  expect(wantsTracing(env)).toBe(wanted)
})

test('without being asked for, tracing is nothing at all', async () => {
  expect(await startTracing({}, { version: '1.2.3' })).toBeUndefined()
})

test('without the optional packages, asking for traces is answered with what to do', async () => {
  const started = startTracing({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, { version: '1.2.3', load: missing })
  await expect(started).rejects.toThrow(/install with optional dependencies, or set OTEL_SDK_DISABLED=true/)
})

test('a server without tracing, Sentry and metrics has loaded no module of theirs', async () => {
  const { stdout, code } = await run(
    `
    import { registerHooks } from 'node:module'
    registerHooks({ load: (url, context, next) => { console.log(url); return next(url, context) } })
    const { startTracing } = await import(${moduleUrl('./telemetry-tracing.ts')})
    const { openReporter } = await import(${moduleUrl('./telemetry.ts')})
    const { openMetrics } = await import(${moduleUrl('./metrics.ts')})
    await import(${moduleUrl('./events.ts')})
    await import(${moduleUrl('../http/metrics-listener.ts')})
    await startTracing(process.env, { version: '1' })
    await openReporter({ enabled: false, dsn: '', environment: '', debug: false }, { version: '1' })
    openMetrics({ version: '1' })`,
    {},
  )
  expect(code).toBe(0)
  expect(stdout).toContain('src/lib/metrics.ts')
  expect(stdout).not.toMatch(/opentelemetry|sentry|prom-client/)
})

test('requests served, calls out and database queries arrive at the collector, without access tokens', async () => {
  const { code, stderr } = await run(
    `
    const { startTracing } = await import(${moduleUrl('./telemetry-tracing.ts')})
    const tracing = await startTracing(process.env, { version: '1.2.3' })
    const { createServer } = await import('node:http')
    const { request } = await import('undici')
    const { default: pg } = await import('pg')
    const server = createServer(async (_, response) => {
      await new pg.Client({ host: '127.0.0.1', port: 1, database: 'media' }).connect().catch(() => {})
      response.end('done')
    })
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
    const url = 'http://127.0.0.1:' + server.address().port + '/upload?access_token=syt_secret&a=b'
    const { body } = await request(url)
    await body.text()
    server.close()
    await tracing[Symbol.asyncDispose]()`,
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      // The test's own process may say otherwise.
      NODE_ENV: 'production',
    },
  )
  expect([code, stderr]).toEqual([0, ''])
  expect(new Set(received.map(({ path }) => path))).toEqual(new Set(['/v1/traces']))
  const bodies = received.map(({ body }) => body).join('\n')
  expect(bodies).toContain('"service.name","value":{"stringValue":"cellarium"}')
  expect(bodies).toContain('"@opentelemetry/instrumentation-http"')
  expect(bodies).toContain('"@opentelemetry/instrumentation-undici"')
  expect(bodies).toContain('"@opentelemetry/instrumentation-pg"')
  expect(bodies).toContain('access_token=[redacted]&a=b')
  expect(bodies).not.toContain('syt_secret')
})

function missing(): Promise<never> {
  return Promise.reject(new Error("Cannot find package '@opentelemetry/sdk-node'"))
}

async function collect(request: IncomingMessage, response: ServerResponse) {
  received.push({ path: request.url ?? '', body: await text(request) })
  response.end('{}')
}

function moduleUrl(path: string): string {
  return JSON.stringify(new URL(path, import.meta.url).href)
}

async function run(script: string, env: Record<string, string>) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  await exited
  return { stdout, stderr, code: child.exitCode }
}
