import type { Tally } from '../lib/tally.ts'
import { bytes, count } from './amounts.ts'

/** What a run came to, in lines for people: the outcomes in the order of their words. */
export function summaryOf<Outcome extends string>(
  { rows, bytes: size, outcomes }: Tally<Outcome>,
  words: Readonly<Record<Outcome, string>>,
): string[] {
  const order = Object.keys(words) as Outcome[]
  const lines = order.flatMap((outcome) => {
    const number = outcomes[outcome]
    return number ? [`  ${count(number)} ${words[outcome]}`] : []
  })
  return [`${count(rows)} records, ${bytes(size)}:`, ...lines]
}
