import type { Clock } from './clock.ts'

/** What was done on the way to an answer, for an administrator who wants to know why there is none. */
export interface Step {
  readonly step: string
  readonly durationMs: number
  readonly result?: unknown
  readonly error?: string
}

export type Trace = (step: Step) => void

/** Does the work and tells the trace how it went, and how long it took. Without a trace nothing is told. */
export async function traced<T>(
  { clock, trace }: { readonly clock: Clock; readonly trace?: Trace | undefined },
  step: string,
  work: () => Promise<T>,
  show: (result: T) => unknown = (result) => result,
): Promise<T> {
  if (!trace) return await work()
  const begun = clock.now()
  try {
    const result = await work()
    trace({ step, durationMs: clock.now() - begun, result: show(result) })
    return result
  } catch (error) {
    trace({ step, durationMs: clock.now() - begun, error: error instanceof Error ? error.message : String(error) })
    throw error
  }
}
