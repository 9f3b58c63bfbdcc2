import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'

import { afterEach, beforeEach, expect, test } from 'vitest'

import type { Log } from './log.ts'
import { openLog } from './log.ts'
import { openReporter, silentReporter, withoutNames } from './telemetry.ts'

const OPTIONS = { enabled: true, dsn: 'not supplied', environment: 'tests', debug: false }

let lines: string[]
let log: Log
let server: Server
let dsn: string
let envelopes: { path: string; body: string }[]

beforeEach(async () => {
  lines = []
  const terminal = { write: (line: string) => void lines.push(line), flushSync() {}, close: () => Promise.resolve() }
  log = openLog({ logDirectory: '', logColors: false, jsonLogs: false, logLevel: 'info' }, { terminal }).log
  envelopes = []
  server = createServer((request, response) => void receive(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  dsn = `http://publickey@127.0.0.1:${typeof address === 'object' ? address?.port : ''}/42`
})

afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

test('without sentry.enabled nothing is reported', async () => {
  expect(await openReporter({ ...OPTIONS, enabled: false }, { version: '1.2.3', log })).toBe(silentReporter)
})

test('with sentry.enabled and without the package, errors are only logged, and one line says why', async () => {
  const reporter = await openReporter(OPTIONS, { version: '1.2.3', log, load: missing })
  expect(reporter).toBe(silentReporter)
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain('sentry.enabled needs the package @sentry/node, which cannot be loaded')
})

test('a DSN that is none is one warning, and errors are only logged', async () => {
  const reporter = await openReporter(OPTIONS, { version: '1.2.3', log })
  expect(reporter).toBe(silentReporter)
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain('sentry.dsn is not a DSN')
})

test('an internal error arrives with version, environment, stack and cause, and nothing of a user', async () => {
  const { code, stderr } = await runReporting(`
    const cause = new Error('open \\'/data/media/secret-name.png\\' from 192.0.2.7 by @alice:example.org')
    reporter.report(new TypeError('cannot store "holiday photo.png" of https://x.example/?access_token=syt_token', { cause }),
      { requestId: 'REQ-1', action: 'upload' })`)
  expect([code, stderr]).toEqual([0, ''])
  expect(envelopes).toHaveLength(1)
  expect(envelopes[0]?.path).toMatch(/^\/api\/42\/envelope\//)
  const event = eventIn(envelopes[0]?.body ?? '')
  expect(event).toMatchObject({
    release: '1.2.3',
    environment: 'tests',
    level: 'error',
    tags: { requestId: 'REQ-1', action: 'upload' },
  })
  const wordings = event.exception.values.map(({ type, value }) => `${type}: ${value}`)
  expect(wordings).toEqual(["Error: open '…' from (ip) by (user)", "TypeError: cannot store '…' of (address)"])
  expect(event.exception.values[1]?.stacktrace.frames.length).toBeGreaterThan(0)
  expect(envelopes[0]?.body).not.toMatch(
    /secret-name|192\.0\.2\.7|alice|holiday|syt_token|server_name|"user"|ip_address/,
  )
})

test('what is waiting when the server stops is sent', async () => {
  await runReporting(
    `for (let error = 0; error < 5; error += 1) reporter.report(new Error('number ' + 'abcde'[error]))`,
  )
  const wordings = envelopes.map(({ body }) => eventIn(body).exception.values[0]?.value)
  expect(wordings.toSorted((a = '', b = '') => a.localeCompare(b))).toEqual([
    'number a',
    'number b',
    'number c',
    'number d',
    'number e',
  ])
})

test.each([
  ["ENOENT: no such file or directory, open '/data/a/b'", "ENOENT: no such file or directory, open '…'"],
  ['cannot read /data/media/ab/cd/name.png: gone', 'cannot read (path): gone'],
  ['connect ECONNREFUSED 10.0.0.5:5432', 'connect ECONNREFUSED (ip)'],
  ['connect ECONNREFUSED ::1:5432 or fe80::1ff:fe23:4567:890a', 'connect ECONNREFUSED (ip) or (ip)'],
  ['mxc://example.org/abc is not there', '(address) is not there'],
  ['Authorization was Bearer syt_abc', 'Authorization was Bearer [redacted]'],
  ["Cannot read properties of undefined (reading 'sha256')", "Cannot read properties of undefined (reading '…')"],
])('the wording %j is reported as %j', (message, reported) => {
  expect(withoutNames(message)).toBe(reported)
})

interface SentryEvent {
  readonly exception: {
    readonly values: {
      readonly type: string
      readonly value: string
      readonly stacktrace: { readonly frames: unknown[] }
    }[]
  }
}

/** An envelope is lines of JSON: its header, then header and content of each item. */
function eventIn(body: string): SentryEvent {
  return JSON.parse(body.split('\n')[2] ?? 'null')
}

function missing(): Promise<never> {
  return Promise.reject(new Error("Cannot find package '@sentry/node'"))
}

async function receive(request: IncomingMessage, response: ServerResponse) {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
  envelopes.push({ path: request.url ?? '', body: plain.toString() })
  response.end('{}')
}

/** In a process of its own, because Sentry keeps its client for the whole process. */
async function runReporting(script: string) {
  const url = JSON.stringify(new URL('./telemetry.ts', import.meta.url).href)
  const whole = `
    import { openReporter } from ${url}
    const options = ${JSON.stringify({ ...OPTIONS, dsn })}
    const reporter = await openReporter(options, { version: '1.2.3', log: { warn: console.error } })
    ${script}
    await reporter[Symbol.asyncDispose]()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', whole], { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  const stderr = await text(child.stderr)
  await exited
  return { stderr, code: child.exitCode }
}
