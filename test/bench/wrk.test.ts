import { describe, expect, test } from 'vitest'
import { readReport } from '../../bench/load/wrk.ts'

const report = (errors: Readonly<Record<string, number>>) => `Running 1s test @ http://127.0.0.1:8000/
  1 threads and 16 connections
Requests/sec:   5000.00
bench ${JSON.stringify({ requests: 5000, seconds: 2, bytes: 6_000_000, p50Ms: 0.5, p99Ms: 2, errors })}
`

describe('what the benchmark reads from wrk', () => {
  test('requests a second, latencies and bytes of an answer', () => {
    const load = readReport(report({ status: 0, connect: 0, read: 0, write: 0, timeout: 0 }))
    expect(load).toEqual({ perSecond: 2500, p50Ms: 0.5, p99Ms: 2, bytesEach: 1200 })
  })

  test('a run in which a request failed gives no figures', () => {
    const errors = { status: 3, connect: 0, read: 0, write: 0, timeout: 1 }
    expect(() => readReport(report(errors))).toThrow('of 5000 requests some failed: status 3, timeout 1')
  })

  test('a wrk that printed no figures is shown with what it printed', () => {
    expect(() => readReport('unable to connect to 127.0.0.1:1\n')).toThrow('unable to connect')
  })
})
