import type { Notifier, Topic } from './notifier.ts'

/** What wakes those who wait for something that another instance may do. */
export interface Hints extends Disposable {
  /** Resolves at the next hint, when the caller goes, or after `ms`. */
  next(ms: number): Promise<void>
}

/** Listens for messages that `concern` whoever waits, on whatever instance they come from; gives what is to be waited for. */
export function hintsOf(
  notifier: Pick<Notifier, 'on'>,
  topic: Topic,
  concern: (message: string) => boolean,
  signal: AbortSignal,
): Hints {
  let hinted = false
  let wake: (() => void) | undefined
  const hint = () => {
    hinted = true
    wake?.()
  }
  const off = notifier.on(topic, (message) => {
    if (concern(message)) hint()
  })
  signal.addEventListener('abort', hint)
  return {
    async next(ms) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, ms)
      wake = resolve
      if (hinted) resolve()
      await promise
      hinted = false
      clearTimeout(timer)
    },
    [Symbol.dispose]() {
      off()
      signal.removeEventListener('abort', hint)
    },
  }
}
