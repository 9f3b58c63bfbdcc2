import { expect, test } from 'vitest'

import { CountFamily, DistributionFamily, LabelLimit } from './counts.ts'

test('each combination of labels is counted apart', () => {
  const family = new CountFamily('counter', 'requests_total', 'Requests', ['host', 'status'])
  family.of('a', 200).add()
  family.of('a', 404).add()
  family.of('a', 200).add(2)
  expect(family.samples()).toEqual([
    { labels: { host: 'a', status: 200 }, value: 3 },
    { labels: { host: 'a', status: 404 }, value: 1 },
  ])
})

test('a family without labels shows 0 before anything happened', () => {
  expect(new CountFamily('counter', 'errors_total', 'Errors').samples()).toEqual([{ labels: {}, value: 0 }])
})

test('buckets of a histogram hold everything up to and including their bound', () => {
  const family = new DistributionFamily('seconds', 'Time', [0.1, 1], ['host'])
  for (const value of [0.05, 0.1, 0.5, 7]) family.of('a').observe(value)
  expect(family.samples()).toEqual([
    { metricName: 'seconds_bucket', labels: { host: 'a', le: 0.1 }, value: 2 },
    { metricName: 'seconds_bucket', labels: { host: 'a', le: 1 }, value: 3 },
    { metricName: 'seconds_bucket', labels: { host: 'a', le: '+Inf' }, value: 4 },
    { metricName: 'seconds_sum', labels: { host: 'a' }, value: 7.65 },
    { metricName: 'seconds_count', labels: { host: 'a' }, value: 4 },
  ])
})

test('a label takes the configured values and a few others; the rest is called other', () => {
  const limit = new LabelLimit(2, 1)
  limit.setKnown(['a', 'b', 'too many'])
  expect(['a', 'b', 'x', 'too many', 'y', 'x'].map((value) => limit.admit(value))).toEqual([
    'a',
    'b',
    'x',
    'other',
    'other',
    'x',
  ])
})

test('after a reload the label takes the new values', () => {
  const limit = new LabelLimit(10, 0)
  limit.setKnown(['a'])
  expect(limit.admit('b')).toBe('other')
  limit.setKnown(['b'])
  expect(limit.admit('b')).toBe('b')
})
