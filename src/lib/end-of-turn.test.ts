import { expect, test } from 'vitest'
import { EndOfTurn } from './end-of-turn.ts'

test('Everybody who waits in one turn goes on in one go, after what the turn had to do', async () => {
  const turn = new EndOfTurn()
  const order: string[] = []
  const waits = ['a', 'b'].map(async (name) => {
    await turn.wait()
    order.push(name)
    process.nextTick(() => order.push(`after ${name}`))
  })
  order.push('turn')
  await Promise.all(waits)
  await new Promise((resolve) => setImmediate(resolve))
  expect(order).toEqual(['turn', 'a', 'b', 'after a', 'after b'])
})

test('Who waits after the end of a turn waits for the end of the next', async () => {
  const turn = new EndOfTurn()
  const first = turn.wait()
  await first
  const second = turn.wait()
  expect(second).not.toBe(first)
  await second
})
