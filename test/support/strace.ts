/** Reading what `strace -f -y` wrote. */

/** A system call of some thread. One ended before another began exactly if its `end` is smaller than the other's `begin`. */
export interface Call {
  readonly name: string
  /** The call as it was printed, with its arguments. */
  readonly text: string
  /** The lines on which it began and ended. */
  readonly begin: number
  readonly end: number
  /** Whether its file descriptor is open on this path. */
  readonly isOn: (path: string) => boolean
}

const LINE = /^(?<thread>\d+)\s+(?<rest>.*)$/
const WHOLE = /^(?<name>\w+)\(.*\)\s+= (?<result>-?\d+|\?)/
const BEGUN = /^(?<name>\w+)\(.* <unfinished \.\.\.>$/
const ENDED = /^<\.\.\. \w+ resumed>.*\)\s+= (?<result>-?\d+|\?)/

/** The calls that succeeded, in the order in which they began. */
export function callsOf(record: string): Call[] {
  const begun = new Map<string, { readonly name: string; readonly text: string; readonly begin: number }>()
  const calls: Call[] = []
  for (const [number, line] of record.split('\n').entries()) {
    const { thread = '', rest = '' } = LINE.exec(line)?.groups ?? {}
    const whole = WHOLE.exec(rest)?.groups
    if (whole) {
      if (succeeded(whole)) calls.push(callOf(whole['name'], rest, number, number))
      continue
    }
    const name = BEGUN.exec(rest)?.groups?.['name']
    if (name !== undefined) {
      begun.set(thread, { name, text: rest, begin: number })
      continue
    }
    const ended = ENDED.exec(rest)?.groups
    const first = begun.get(thread)
    if (ended && first) {
      begun.delete(thread)
      if (succeeded(ended)) calls.push(callOf(first.name, first.text, first.begin, number))
    }
  }
  return calls.toSorted((a, b) => a.begin - b.begin)
}

function callOf(name = '', text = '', begin = 0, end = 0): Call {
  return { name, text, begin, end, isOn: (path) => text.includes(`<${path}>`) }
}

function succeeded(groups: Readonly<Record<string, string>>): boolean {
  return !groups['result']?.startsWith('-')
}
