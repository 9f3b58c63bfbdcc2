import type { Log } from '../lib/log.ts'
import { bytes, count } from './amounts.ts'
import { ProgressLine, type ProgressOutput, speedometer } from './progress-line.ts'

/** How far it is. */
export interface Progress {
  readonly rows: number
  readonly bytes: number
  readonly problems: number
}

interface DisplayParts {
  /** Where it is shown, if that is a terminal. */
  readonly output: ProgressOutput
  /** In ms that only go up. */
  readonly now: () => number
  /** Where it is told otherwise. */
  readonly log: Log
  /** What is being done to them: `imported`. */
  readonly verb: string
}

/** Shows how far an import or an export is: one line that changes on a terminal, now and then a line of the log elsewhere. */
export class ImportDisplay implements Disposable {
  readonly #line: ProgressLine
  readonly #speed: (rows: number) => number
  readonly #verb: string

  constructor({ output, now, log, verb }: DisplayParts) {
    const inLog = { isTTY: false, write: (text: string) => log.info(text.trimEnd()) }
    this.#line = new ProgressLine(output.isTTY ? output : inLog, now)
    this.#speed = speedometer(now)
    this.#verb = verb
  }

  /** `all`: how many there are, about. */
  show({ rows, bytes: size, problems }: Progress, all: number): void {
    const share = all === 0 ? 1 : Math.min(1, rows / all)
    const perSecond = this.#speed(rows)
    const parts = [
      `${Math.floor(share * 100)} %`,
      `${count(rows)} of ${count(all)} records`,
      bytes(size),
      ...(perSecond > 0 ? [`${count(perSecond)}/s`] : []),
      ...(problems > 0 ? [`${count(problems)} could not be ${this.#verb}`] : []),
    ]
    this.#line.show(share, parts.join(', '))
  }

  /** Ends the line that changes. */
  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]()
  }
}
