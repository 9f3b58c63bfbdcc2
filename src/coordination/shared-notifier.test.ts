import { setTimeout as pause } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { recordingLog } from '../../test/support/log.ts'
import { LARGEST_BYTES } from './envelope.ts'
import { SharedNotifier } from './shared-notifier.ts'
import type { Transport, TransportEvents } from './transport.ts'

test('An announcement ends when every other instance has handled it', async () => {
  const air = new Air()
  await using group = await open(air, 3)
  const handled: string[] = []
  for (const instance of group.others) {
    instance.notifier.on('changed', (message) => handled.push(message))
  }
  await group.one.notifier.announce('changed', 'news')
  expect(handled).toEqual(['news', 'news'])
})

test('An announcement waits until what instances do because of it is done', async () => {
  const air = new Air()
  await using group = await open(air, 2)
  await group.one.notifier.announce('changed', 'everybody is known after this')
  const done: string[] = []
  for (const [index, { notifier }] of [group.one, ...group.others].entries()) {
    notifier.on('reads', async () => {
      await pause(index * 300)
      done.push('written')
    })
  }
  await group.one.notifier.announce('reads', '')
  expect(done).toEqual(['written', 'written'])
})

test('An announcement waits for an instance that does not answer until that one trusts nothing it keeps', async () => {
  const air = new Air()
  await using group = await open(air, 2)
  const [silent] = group.others
  await group.one.notifier.announce('changed', 'everybody is known after this')
  silent?.line(0).cut('both')
  let ended = false
  const announced = group.one.notifier.announce('changed', 'news').then(() => (ended = true))
  await pause(500)
  expect(ended, 'it may still trust its echo').toBe(false)
  expect(silent?.notifier.isAttentive()).toBe(true)
  group.wait(3100)
  await announced
  expect(silent?.notifier.isAttentive()).toBe(false)
})

test('An instance that has just begun waits until it knows whom to wait for', async () => {
  const air = new Air()
  await using group = await open(air, 1)
  // Heard of before the newcomer listened, and again only with its next beat.
  await using late = new SharedNotifier(air.line(0), { instance: 'late', clock: group.clock, log: group.log })
  await late.start()
  const handled: string[] = []
  group.one.notifier.on('changed', (message) => handled.push(message))
  group.one.line(0).delay(500)
  await late.announce('changed', 'news')
  expect(handled).toEqual(['news'])
})

test('An announcement does not wait for an instance that has said goodbye', async () => {
  const air = new Air()
  await using group = await open(air, 2)
  await group.one.notifier.announce('changed', 'everybody is known after this')
  await group.others[0]?.notifier[Symbol.asyncDispose]()
  const began = performance.now()
  await group.one.notifier.announce('changed', 'news')
  expect(performance.now() - began).toBeLessThan(2000)
})

test('An announcement that nobody could be told fails, and names why', async () => {
  const air = new Air()
  await using group = await open(air, 2)
  group.one.line(0).cut('sending')
  const announced = group.one.notifier.announce('changed', 'news')
  announced.catch(() => {})
  await pause(100)
  group.wait(11_000)
  await expect(announced).rejects.toThrow('could not be told over line 0')
})

test('A process that was paused for two seconds trusts nothing before it has heard itself again', async () => {
  await using group = await open(new Air(), 1)
  const { notifier } = group.one
  const missed: boolean[] = []
  notifier.on('missed', () => missed.push(notifier.isAttentive()))
  expect(notifier.isAttentive()).toBe(true)
  group.wait(2000)
  expect(notifier.isAttentive()).toBe(false)
  await vi.waitFor(() => expect(notifier.isAttentive()).toBe(true), 10_000)
  expect(missed, 'what was kept meanwhile is dropped before anything counts again').toHaveLength(1)
})

test('An instance that others do not hear trusts nothing, although it hears itself', async () => {
  await using group = await open(new Air(2), 1)
  expect(group.one.notifier.isAttentive()).toBe(true)
  group.one.line(0).cut('sending')
  await vi.waitFor(() => expect(group.one.notifier.isAttentive()).toBe(false), 10_000)
})

test('Two ways at once bring a message once, and one of them is enough', async () => {
  await using group = await open(new Air(2), 2)
  const [other] = group.others
  const heard: string[] = []
  other?.notifier.on('uploaded', (message) => heard.push(message))
  group.one.notifier.notify('uploaded', 'by both')
  await pause(20)
  expect(heard).toEqual(['by both'])
  for (const one of [group.one, other]) one?.line(0).cut('hearing')
  await group.one.notifier.announce('uploaded', 'past what does not arrive')
  expect(heard).toEqual(['by both', 'past what does not arrive'])
  group.wait(2000)
  await vi.waitFor(() => expect(other?.notifier.isAttentive()).toBe(true), 10_000)
})

test('A way that comes later, and one that goes, lose no message', async () => {
  const air = new Air(2)
  await using group = await open(air, 2, 1)
  const heard: string[] = []
  for (const one of group.all) await one.notifier.useAlso([one.line(1)])
  for (const one of group.all) one.line(0).cut('hearing')
  group.others[0]?.notifier.on('uploaded', (message) => heard.push(message))
  group.one.notifier.notify('uploaded', 'by the new way')
  await vi.waitFor(() => expect(heard).toEqual(['by the new way']))
  for (const one of group.all) one.line(0).mend()
  for (const one of group.all) await one.notifier.useAlso([])
  expect(air.listeners(1)).toBe(0)
  group.one.notifier.notify('uploaded', 'by the old way')
  await vi.waitFor(() => expect(heard).toEqual(['by the new way', 'by the old way']))
})

test('A listener that fails keeps nothing from the others; until it has dropped what it keeps, nothing counts', async () => {
  await using group = await open(new Air(), 2)
  const [other] = group.others
  const seen: string[] = []
  other?.notifier.on('changed', () => {
    throw new Error('no')
  })
  other?.notifier.on('changed', (message) => {
    seen.push(message)
    expect(other.notifier.isAttentive()).toBe(false)
  })
  other?.notifier.on('missed', () => seen.push('missed'))
  await group.one.notifier.announce('changed', 'news')
  expect(group.lines.filter(({ level }) => level === 50)).toHaveLength(1)
  await vi.waitFor(() => expect(other?.notifier.isAttentive()).toBe(true), 10_000)
  expect(seen).toEqual(['news', 'missed'])
})

test('A message that is too large tells the others that they missed something', async () => {
  await using group = await open(new Air(), 2)
  const heard: string[] = []
  group.others[0]?.notifier.on('changed', () => heard.push('changed'))
  group.others[0]?.notifier.on('missed', () => heard.push('missed'))
  await group.one.notifier.announce('changed', 'x'.repeat(LARGEST_BYTES))
  expect(heard).toEqual(['missed'])
})

test('Texts that are no messages are passed over', async () => {
  const air = new Air()
  await using group = await open(air, 1)
  for (const text of ['', '[]', '{', 'null', '{"from":"x"}', '{"from":"x","kind":"told","id":"1","topic":"changed"}']) {
    air.say(0, text)
  }
  air.say(0, '{"from":"0","kind":"beat","count":4000}')
  expect(group.one.notifier.isAttentive()).toBe(true)
  const missed = vi.fn<() => void>()
  group.one.notifier.on('missed', missed)
  air.say(0, '{"from":"x","kind":"told","id":"2","topic":"of a newer version","message":""}')
  expect(missed, 'what is not understood may concern anything').toHaveBeenCalledOnce()
})

/** Transports without a network, which break as a test wants. Texts arrive in the next turn. */
class Air {
  readonly #listeners: Set<(text: string) => void>[]

  constructor(ways = 1) {
    this.#listeners = Array.from({ length: ways }, () => new Set())
  }

  get ways(): number {
    return this.#listeners.length
  }

  say(way: number, text: string): void {
    for (const listener of this.#listeners[way] ?? []) listener(text)
  }

  listeners(way: number): number {
    return this.#listeners[way]?.size ?? 0
  }

  line(way: number): Line {
    const listeners = this.#listeners[way] ?? new Set()
    return new Line(`line ${way}`, listeners, (text) => this.say(way, text))
  }
}

class Line implements Transport {
  readonly name: string
  readonly #listeners: Set<(text: string) => void>
  readonly #say: (text: string) => void
  #events: TransportEvents | undefined
  #delayMs = 0
  #broken: 'no' | 'sending' | 'hearing' | 'both' = 'no'
  readonly #hear = (text: string) => {
    if (this.#broken === 'hearing' || this.#broken === 'both') return
    if (this.#delayMs === 0) this.#events?.onText(text)
    else setTimeout(() => this.#events?.onText(text), this.#delayMs)
  }

  constructor(name: string, listeners: Set<(text: string) => void>, say: (text: string) => void) {
    this.name = name
    this.#listeners = listeners
    this.#say = say
  }

  async start(events: TransportEvents): Promise<void> {
    this.#events = events
    this.#listeners.add(this.#hear)
    events.onConnected()
  }

  async send(text: string): Promise<void> {
    if (this.#broken === 'sending' || this.#broken === 'both') throw new Error('cut')
    await Promise.resolve()
    this.#say(text)
  }

  cut(which: 'sending' | 'hearing' | 'both'): void {
    this.#broken = which
  }

  /** Lets it hear so much later, in ms. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  mend(): void {
    this.#broken = 'no'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.delete(this.#hear)
  }
}

interface Instance {
  readonly notifier: SharedNotifier
  readonly line: (way: number) => Line
}

/** So many instances that know each other, using the first `used` ways. */
async function open(air: Air, count: number, used = air.ways) {
  await using cleanup = new AsyncDisposableStack()
  let ahead = 0
  const clock = { now: () => performance.now() + ahead }
  const { log, lines } = recordingLog()
  const all = Array.from({ length: count }, (_, index): Instance => {
    const own = Array.from({ length: air.ways }, (_, way) => air.line(way))
    const line = (way: number) => own[way] ?? air.line(way)
    const notifier = cleanup.use(new SharedNotifier(line(0), { instance: `${index}`, clock, log }))
    return { notifier, line }
  })
  for (const one of all) await one.notifier.start(Array.from({ length: used - 1 }, (_, index) => one.line(index + 1)))
  // Each has heard the others once every one of them has sent a beat that all could hear.
  for (const { notifier } of all) notifier.notify('uploaded', 'hello')
  await vi.waitFor(() => expect(all.every(({ notifier }) => notifier.isAttentive())).toBe(true), 10_000)
  const [one, ...others] = all
  if (!one) throw new Error('a group has at least one instance')
  const owned = cleanup.move()
  return {
    one,
    others,
    all,
    lines,
    clock,
    log,
    wait: (ms: number) => void (ahead += ms),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
