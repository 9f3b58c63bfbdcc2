import { expect, test } from 'vitest'
import { TransferDisplay } from './transfer-progress.ts'

const at = (moved: number, changes: object = {}) => ({
  objects: 1000,
  bytes: 1024 ** 3,
  moved,
  movedBytes: moved * 1024 ** 2,
  skipped: 0,
  failed: 0,
  failures: [],
  after: '',
  ...changes,
})

function display(isTTY: boolean) {
  let [written, now] = ['', 0]
  const shown = new TransferDisplay({ isTTY, write: (text) => void (written += text) }, () => now)
  return { shown, wait: (ms: number) => void (now += ms), written: () => written }
}

test('on a terminal progress is one line that changes', () => {
  const { shown, wait, written } = display(true)
  shown.show(at(0))
  wait(1000)
  shown.show(at(500, { skipped: 30, failed: 2 }))
  shown[Symbol.dispose]()
  expect(written().split('\r')).toEqual([
    '',
    `[${'-'.repeat(30)}] 0 %, 0 of 1,000 objects, 0 bytes\u001b[K`,
    `[${'#'.repeat(16)}${'-'.repeat(14)}] 53 %, 500 of 1,000 objects, 500.0 MiB, 500.0 MiB/s, 30 read since, 2 failed\u001b[K\n`,
  ])
})

test('elsewhere it is a line each ten seconds', () => {
  const { shown, wait, written } = display(false)
  for (let second = 0; second <= 20; second++) {
    shown.show(at(second))
    wait(1000)
  }
  shown[Symbol.dispose]()
  expect(written().split('\n')).toEqual([
    '0 %, 0 of 1,000 objects, 0 bytes',
    '1 %, 10 of 1,000 objects, 10.0 MiB, 1.0 MiB/s',
    '2 %, 20 of 1,000 objects, 20.0 MiB, 1.0 MiB/s',
    '',
  ])
})

test('a datastore whose objects nobody has counted is not half done at the beginning', () => {
  const { shown, written } = display(false)
  shown.show(at(3, { objects: 0 }))
  expect(written()).toBe('0 %, 3 of 0 objects, 3.0 MiB\n')
})
