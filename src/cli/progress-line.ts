const WIDTH = 30
const LINE_EVERY_MS = 10_000

/** Where progress is shown: a terminal, or what takes lines. */
export interface ProgressOutput {
  readonly isTTY: boolean
  readonly write: (text: string) => void
}

/** One line that changes on a terminal, now and then a new line elsewhere. */
export class ProgressLine implements Disposable {
  readonly #output: ProgressOutput
  readonly #now: () => number
  #shownAt = -Infinity
  #isOpen = false

  /** `now`: ms that only go up. */
  constructor(output: ProgressOutput, now: () => number) {
    this.#output = output
    this.#now = now
  }

  /** `share`: from 0 to 1; `isDone`: this is the last word. */
  show(share: number, text: string, isDone = false): void {
    if (this.#output.isTTY) {
      this.#output.write(`\r${bar(share)} ${text}\u001b[K`)
      this.#isOpen = true
    } else if (isDone || this.#now() - this.#shownAt >= LINE_EVERY_MS) {
      this.#output.write(`${text}\n`)
      this.#shownAt = this.#now()
    }
  }

  /** Ends the line that changes. */
  [Symbol.dispose](): void {
    if (this.#isOpen) this.#output.write('\n')
    this.#isOpen = false
  }
}

/** `[####----]`. */
export function bar(share: number): string {
  const filled = Math.round(share * WIDTH)
  return `[${'#'.repeat(filled)}${'-'.repeat(WIDTH - filled)}]`
}

const WINDOW_MS = 10_000

/** Of something that is counted (bytes, rows): how much a second, over the last ten seconds or so. */
export function speedometer(now: () => number): (amount: number) => number {
  const seen: { readonly at: number; readonly amount: number }[] = []
  return (amount) => {
    const at = now()
    seen.push({ at, amount })
    while (seen.length > 2 && at - (seen[0]?.at ?? at) > WINDOW_MS) seen.shift()
    const first = seen[0]
    if (!first || at <= first.at) return 0
    return Math.round(((amount - first.amount) / (at - first.at)) * 1000)
  }
}
