import { expect, test } from 'vitest'
import { recordingLog } from '../../test/support/log.ts'
import { ImportDisplay } from './import-display.ts'
import { TakeOverDisplay } from './import-mmr-report.ts'

function output(isTTY: boolean) {
  let [written, now] = ['', 0]
  return {
    to: { isTTY, write: (text: string) => void (written += text) },
    now: () => now,
    wait: (ms: number) => void (now += ms),
    written: () => written,
  }
}

test('on a terminal a take-over is a bar that fills, with how fast it is and at what', () => {
  const { to, now, wait, written } = output(true)
  const display = new TakeOverDisplay(to, now)
  // A task that nobody took up yet.
  display.show({})
  display.show({ phase: 3, rows: 0, of: 2000 })
  wait(1000)
  display.show({ phase: 4, rows: 1500, of: 2000 })
  display[Symbol.dispose]()
  expect(written().split('\r')).toEqual([
    '',
    `[${'-'.repeat(30)}] 0 %, 0 of 2,000 rows (media)\u001b[K`,
    `[${'#'.repeat(23)}${'-'.repeat(7)}] 75 %, 1,500 of 2,000 rows, 1,500 rows/s (thumbnails)\u001b[K\n`,
  ])
})

test('on a terminal an import is a bar too, that says what went wrong', () => {
  const { to, now, wait, written } = output(true)
  const display = new ImportDisplay({ output: to, now, log: recordingLog().log, verb: 'imported' })
  display.show({ rows: 100, bytes: 0, problems: 0 }, 1000)
  wait(2000)
  display.show({ rows: 500, bytes: 1024 ** 2, problems: 2 }, 1000)
  display[Symbol.dispose]()
  const shown = written().split('\r').at(-1)
  expect(shown).toBe(
    `[${'#'.repeat(15)}${'-'.repeat(15)}] 50 %, 500 of 1,000 records, 1.0 MiB, 200/s, 2 could not be imported\u001b[K\n`,
  )
})

test('elsewhere an export is a line of the log each ten seconds', () => {
  const { to, now, wait, written } = output(false)
  const { log, lines } = recordingLog()
  const display = new ImportDisplay({ output: to, now, log, verb: 'exported' })
  for (let second = 0; second <= 10; second++) {
    display.show({ rows: second * 10, bytes: 0, problems: 0 }, 100)
    wait(1000)
  }
  display[Symbol.dispose]()
  expect(written()).toBe('')
  expect(lines.map(({ msg }) => msg)).toEqual([
    '0 %, 0 of 100 records, 0 bytes',
    '100 %, 100 of 100 records, 0 bytes, 10/s',
  ])
})
