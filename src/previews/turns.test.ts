import { describe, expect, test } from 'vitest'
import { HostRests, HostTurns, previewQueue } from './turns.ts'

const stays = new AbortController().signal

function turnsAt(): { readonly turns: HostTurns; readonly wait: (ms: number) => void } {
  let now = 1_700_000_000_000
  return { turns: new HostTurns({ now: () => now }), wait: (ms) => void (now += ms) }
}

/** Takes so many turns, and says which have come by now. */
function taking(turns: HostTurns, host: string, count: number, signal = stays) {
  const come: boolean[] = []
  const ends = Array.from({ length: count }, async (_, index) => {
    const end = await turns.take(host, signal)
    come[index] = true
    return end
  })
  return { ends, come, settle: () => new Promise((resolve) => setImmediate(resolve)) }
}

describe('Turns at a host', () => {
  test('are four at a time, the others in the order in which they came, and other hosts have their own', async () => {
    const { turns } = turnsAt()
    const { ends, come, settle } = taking(turns, 'a.test', 6)
    const other = taking(turns, 'b.test', 1)
    await settle()
    expect([Object.keys(come), other.come]).toEqual([['0', '1', '2', '3'], [true]])
    ;(await ends[2])?.()
    await settle()
    expect(Object.keys(come)).toEqual(['0', '1', '2', '3', '4'])
  })

  test('end once, however often that is said', async () => {
    const { turns } = turnsAt()
    const { ends, come, settle } = taking(turns, 'a.test', 6)
    const end = await ends[0]
    end?.()
    end?.()
    await settle()
    expect(Object.keys(come)).toEqual(['0', '1', '2', '3', '4'])
  })

  test('go to others when somebody leaves while waiting', async () => {
    const { turns } = turnsAt()
    const first = taking(turns, 'a.test', 4)
    const left = new AbortController()
    const leaving = turns.take('a.test', left.signal)
    const after = taking(turns, 'a.test', 1)
    left.abort(new Error('gone'))
    await expect(leaving).rejects.toThrow('gone')
    await expect(turns.take('a.test', left.signal)).rejects.toThrow('gone')
    ;(await first.ends[0])?.()
    await after.settle()
    expect(after.come).toEqual([true])
  })

  test('are not given while the host is to be left alone, nor to those who waited when it said so', async () => {
    const { turns, wait } = turnsAt()
    const { ends } = taking(turns, 'a.test', 5)
    turns.rest('a.test', 5000)
    await expect(turns.take('a.test', stays)).rejects.toThrow(HostRests)
    ;(await ends[0])?.()
    await expect(ends[4]).rejects.toThrow('a.test wants to be left alone for another 5 s')
    wait(5000)
    ;(await turns.take('a.test', stays))()
  })

  test('are given again after a quarter of an hour, whatever the host said', async () => {
    const { turns, wait } = turnsAt()
    turns.rest('a.test', 1e12)
    wait(15 * 60_000 - 1)
    await expect(turns.take('a.test', stays)).rejects.toThrow(HostRests)
    wait(1)
    ;(await turns.take('a.test', stays))()
  })
})

const never = () => new Promise<never>(() => {})

describe('The queue of previews', () => {
  test('has half of its places for one host, and refuses when too much waits', async () => {
    const queue = previewQueue(4)
    let began = 0
    const begin = () => {
      began++
      return never()
    }
    for (let index = 0; index < 50; index++) void queue.run('a.test', stays, begin)
    void queue.run('b.test', stays, begin)
    await new Promise((resolve) => setImmediate(resolve))
    expect(began).toBe(3)
    for (let index = 51; index < 84; index++) void queue.run('c.test', stays, begin)
    await expect(queue.run('d.test', stays, begin)).rejects.toMatchObject({
      reason: 'limited',
      options: { retryAfterMs: 5000 },
    })
  })
})
