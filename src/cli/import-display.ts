import type { Log } from '../lib/log.ts'
import { problemsIn, type Tally } from '../imports/tally.ts'
import { bytes, count } from './amounts.ts'
import { bar, type ProgressOutput } from './progress-line.ts'

const LINE_EVERY_MS = 10_000

interface DisplayParts {
  readonly output: ProgressOutput
  /** In ms that only go up. */
  readonly now: () => number
  readonly log: Log
}

/** Shows how far an import is: one line that changes on a terminal, now and then a line of the log elsewhere. */
export class ImportDisplay implements Disposable {
  readonly #parts: DisplayParts
  readonly #began: number
  #first: number | undefined
  #shownAt: number
  #isOpen = false

  constructor(parts: DisplayParts) {
    this.#parts = parts
    this.#began = parts.now()
    this.#shownAt = this.#began
  }

  show(tally: Tally, rows: number): void {
    const { output, now, log } = this.#parts
    // What a broken-off run did was not done now.
    this.#first ??= tally.rows
    const perSecond = Math.round(((tally.rows - this.#first) * 1000) / Math.max(1, now() - this.#began))
    const share = rows === 0 ? 1 : Math.min(1, tally.rows / rows)
    const problems = problemsIn(tally)
    if (output.isTTY) {
      const wrong = problems > 0 ? `, ${count(problems)} could not be imported` : ''
      const text = `${count(tally.rows)} of ${count(rows)} records, ${bytes(tally.bytes)}, ${count(perSecond)}/s${wrong}`
      output.write(`\r${bar(share)} ${Math.floor(share * 100)} %, ${text}\u001b[K`)
      this.#isOpen = true
    } else if (now() - this.#shownAt >= LINE_EVERY_MS) {
      this.#shownAt = now()
      log.info({ problems, perSecond }, `${tally.rows}/${rows} imported (${Math.floor(share * 100)}%)`)
    }
  }

  /** Ends the line that changes. */
  [Symbol.dispose](): void {
    if (this.#isOpen) this.#parts.output.write('\n')
    this.#isOpen = false
  }
}
