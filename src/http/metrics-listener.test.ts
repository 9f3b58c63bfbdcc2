import { connect } from 'node:net'

import { request } from 'undici'
import { expect, test } from 'vitest'

import { openMetrics } from '../lib/metrics.ts'
import { startMetricsListener } from './metrics-listener.ts'

const LOOPBACK = { bindAddress: '127.0.0.1', port: 0 }

async function get(port: number, path: string, method: 'GET' | 'HEAD' | 'POST' = 'GET') {
  const { statusCode, headers, body } = await request(`http://127.0.0.1:${port}${path}`, { method })
  return { status: statusCode, type: headers['content-type'], text: await body.text() }
}

test.each(['/metrics', '/_media/metrics', '/metrics?debug=1'])('metrics are served at %s', async (path) => {
  await using listener = await startMetricsListener(LOOPBACK, openMetrics({ version: '1.2.3' }))
  const { status, type, text } = await get(listener.port, path)
  expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
  expect(text).toContain('# TYPE media_http_requests_total counter\n')
  expect(text).toContain('# TYPE media_age_accessed_media_seconds histogram\n')
  expect(text).toContain('cellarium_build_info{version="1.2.3"} 1\n')
  expect(text).toMatch(/^process_resident_memory_bytes \d+$/m)
  expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds /m)
})

test('every line is of a form that Prometheus reads', async () => {
  const metrics = openMetrics({ version: '1.2.3' })
  metrics.responses.of('a"\\\n', 'download', 'GET', 200).add()
  await using listener = await startMetricsListener(LOOPBACK, metrics)
  const { text } = await get(listener.port, '/metrics')
  const label = String.raw`[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"`
  const sample = new RegExp(String.raw`^[a-zA-Z_:][\w:]*(?:\{${label}(?:,${label})*\})? (?:[-+\d.e]+|Nan|NaN|[+-]Inf)$`)
  const odd = text.split('\n').filter((line) => line !== '' && !/^# (?:HELP|TYPE) /.test(line) && !sample.test(line))
  expect(odd).toEqual([])
})

test('nothing else is served there', async () => {
  await using listener = await startMetricsListener(LOOPBACK, openMetrics({ version: '1' }))
  expect(await get(listener.port, '/')).toMatchObject({ status: 404 })
  expect(await get(listener.port, '/metrics', 'POST')).toMatchObject({ status: 405 })
  expect(await get(listener.port, '/metrics', 'HEAD')).toMatchObject({ status: 200, text: '' })
})

test('a port that is taken is said so, with the option to change', async () => {
  await using listener = await startMetricsListener(LOOPBACK, openMetrics({ version: '1' }))
  const second = startMetricsListener({ ...LOOPBACK, port: listener.port }, openMetrics({ version: '1' }))
  await expect(second).rejects.toThrow(
    `cannot listen on 127.0.0.1:${listener.port} (metrics.bindAddress, metrics.port): something else listens there`,
  )
})

test('a stopped listener gives its port back at once, also from a client that never finishes its request', async () => {
  const listener = await startMetricsListener(LOOPBACK, openMetrics({ version: '1' }))
  const client = connect(listener.port, '127.0.0.1')
  client.write('GET /metrics HTTP/1.1\r\nHost: a')
  await expect(get(listener.port, '/metrics')).resolves.toMatchObject({ status: 200 })
  await listener[Symbol.asyncDispose]()
  await using again = await startMetricsListener({ ...LOOPBACK, port: listener.port }, openMetrics({ version: '1' }))
  expect(again.port).toBe(listener.port)
  client.destroy()
})
