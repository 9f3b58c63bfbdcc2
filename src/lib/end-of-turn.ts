/**
 * Waiting until the event loop has handled what it found to do in this turn. What is then done for all who waited is done in
 * one go: answers that leave together wake the client once, where each by itself would wake it each time.
 */
export class EndOfTurn {
  #end: Promise<void> | undefined

  /** Resolves at the end of this turn, for everybody at once. */
  wait(): Promise<void> {
    this.#end ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#end = undefined
        resolve()
      })
    })
    return this.#end
  }
}
