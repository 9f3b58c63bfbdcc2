import { problemsIn, type Tally } from '../imports/tally.ts'
import type { Log } from '../lib/log.ts'
import { bytes, count } from './amounts.ts'
import { ProgressLine, type ProgressOutput, speedometer } from './progress-line.ts'

/** Where an import shows how far it is: the terminal, or else the log. */
export const terminalOrLog = (terminal: ProgressOutput, log: Log): ProgressOutput =>
  terminal.isTTY ? terminal : { isTTY: false, write: (text) => log.info(text.trimEnd()) }

/** Shows how far an import is: one line that changes on a terminal, now and then a new line elsewhere. */
export class ImportDisplay implements Disposable {
  readonly #line: ProgressLine
  readonly #speed: (rows: number) => number

  /** `now`: ms that only go up. */
  constructor(output: ProgressOutput, now: () => number) {
    this.#line = new ProgressLine(output, now)
    this.#speed = speedometer(now)
  }

  /** `rows`: how many there are, about. */
  show(tally: Tally, rows: number): void {
    const share = rows === 0 ? 1 : Math.min(1, tally.rows / rows)
    this.#line.show(share, describe(tally, { rows, share, perSecond: this.#speed(tally.rows) }))
  }

  /** Ends the line that changes. */
  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]()
  }
}

interface Pace {
  readonly rows: number
  readonly share: number
  readonly perSecond: number
}

function describe(tally: Tally, { rows, share, perSecond }: Pace): string {
  const problems = problemsIn(tally)
  const parts = [
    `${Math.floor(share * 100)} %`,
    `${count(tally.rows)} of ${count(rows)} records`,
    bytes(tally.bytes),
    ...(perSecond > 0 ? [`${count(perSecond)}/s`] : []),
    ...(problems > 0 ? [`${count(problems)} could not be imported`] : []),
  ]
  return parts.join(', ')
}
