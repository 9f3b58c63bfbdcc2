import type { Log } from '../lib/log.ts'
import { bytes, count } from './amounts.ts'
import { bar, type ProgressOutput } from './progress-line.ts'

const LINE_EVERY_MS = 10_000

/** How far it is. */
export interface Progress {
  readonly rows: number
  readonly bytes: number
  readonly problems: number
}

interface DisplayParts {
  readonly output: ProgressOutput
  /** In ms that only go up. */
  readonly now: () => number
  readonly log: Log
  /** What is being done to them: `imported`. */
  readonly verb: string
}

/** Shows how far an import or an export is: one line that changes on a terminal, now and then a line of the log elsewhere. */
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

  show({ rows, bytes: size, problems }: Progress, all: number): void {
    const { output, now, log, verb } = this.#parts
    // What a broken-off run did was not done now.
    this.#first ??= rows
    const perSecond = Math.round(((rows - this.#first) * 1000) / Math.max(1, now() - this.#began))
    const share = all === 0 ? 1 : Math.min(1, rows / all)
    if (output.isTTY) {
      const wrong = problems > 0 ? `, ${count(problems)} could not be ${verb}` : ''
      const text = `${count(rows)} of ${count(all)} records, ${bytes(size)}, ${count(perSecond)}/s${wrong}`
      output.write(`\r${bar(share)} ${Math.floor(share * 100)} %, ${text}\u001b[K`)
      this.#isOpen = true
    } else if (now() - this.#shownAt >= LINE_EVERY_MS) {
      this.#shownAt = now()
      log.info({ problems, perSecond }, `${rows}/${all} ${verb} (${Math.floor(share * 100)}%)`)
    }
  }

  /** Ends the line that changes. */
  [Symbol.dispose](): void {
    if (this.#isOpen) this.#parts.output.write('\n')
    this.#isOpen = false
  }
}
