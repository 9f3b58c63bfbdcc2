import { expect, test } from 'vitest'

import { CountFamily, DistributionFamily, LabelLimit } from './counts.ts'

test('each combination of labels is counted apart', () => {
  const family = new CountFamily('counter', 'requests_total', 'Requests', ['host', 'status'])
  family.of('a', 200).add()
  family.of('a', 404).add()
  family.of('a', 200).add(2)
  expect(family.render()).toBe(
    '# HELP requests_total Requests\n' +
      '# TYPE requests_total counter\n' +
      'requests_total{host="a",status="200"} 3\n' +
      'requests_total{host="a",status="404"} 1\n',
  )
})

test('a family without labels shows 0 before anything happened', () => {
  expect(new CountFamily('counter', 'errors_total', 'Errors').render()).toContain('\nerrors_total 0\n')
})

test('buckets of a histogram hold everything up to and including their bound', () => {
  const family = new DistributionFamily('seconds', 'Time', [0.1, 1], ['host'])
  for (const value of [0.05, 0.1, 0.5, 7]) family.of('a').observe(value)
  expect(family.render()).toBe(
    '# HELP seconds Time\n' +
      '# TYPE seconds histogram\n' +
      'seconds_bucket{host="a",le="0.1"} 2\n' +
      'seconds_bucket{host="a",le="1"} 3\n' +
      'seconds_bucket{host="a",le="+Inf"} 4\n' +
      'seconds_sum{host="a"} 7.65\n' +
      'seconds_count{host="a"} 4\n',
  )
})

test('a label value with quotes, backslashes and line breaks is one value on one line', () => {
  const family = new CountFamily('counter', 'requests_total', 'Requests', ['host'])
  family.of('a"b\\c\nd').add()
  expect(family.render().split('\n')[2]).toBe(String.raw`requests_total{host="a\"b\\c\nd"} 1`)
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
