import { describe, expect, test } from 'vitest'
import { EMPTY, type Tally, tallying } from './tally.ts'

type Outcome = 'moved' | 'looked at' | 'passed over' | 'lost' | 'damaged'

describe('A tally', () => {
  const { counted, movedIn, problemsIn, problemsBy } = tallying<Outcome, 'lost' | 'damaged'>({
    moved: ['moved'],
    looked: ['looked at'],
    problems: ['damaged', 'lost'],
  })
  const seen: readonly Outcome[] = ['moved', 'lost', 'moved', 'looked at', 'passed over', 'lost']
  const tally = seen.reduce<Tally<Outcome>>((sum, outcome) => counted(sum, outcome, 10), EMPTY)

  test('counts the rows of each outcome, and the bytes of those that moved or were looked at', () => {
    expect(tally).toEqual({
      rows: 6,
      bytes: 30,
      outcomes: { moved: 2, lost: 2, 'looked at': 1, 'passed over': 1 },
    })
    expect(EMPTY).toEqual({ rows: 0, bytes: 0, outcomes: {} })
  })

  test('says how many moved, how many are not as they should be, and which problems were seen', () => {
    expect(movedIn(tally)).toBe(2)
    expect(problemsIn(tally)).toBe(2)
    expect(problemsBy(tally)).toEqual({ lost: 2 })
    expect(problemsBy(counted(tally, 'damaged'))).toEqual({ damaged: 1, lost: 2 })
  })
})
