import { pino } from 'pino'
import { expect, test, vi } from 'vitest'
import { LocalNotifier, type Notifier, type Topic } from '../../src/coordination/notifier.ts'
import { PostgresTransport } from '../../src/coordination/postgres-transport.ts'
import { SharedNotifier } from '../../src/coordination/shared-notifier.ts'
import { parseDsn } from '../../src/db/dsn.ts'
import { steadyClock } from '../../src/lib/clock.ts'
import { type Gate, startGate } from '../support/gate.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

test('Within one instance a message reaches whoever listens to its topic, until he stops', async () => {
  await using notifier = new LocalNotifier({ log: pino({ level: 'silent' }) })
  const heard: string[] = []
  const stop = notifier.on('uploaded', (message) => heard.push(message))
  notifier.on('forgotten', () => heard.push('wrong topic'))
  notifier.notify('uploaded', 'mxc://example.org/a')
  stop()
  notifier.notify('uploaded', 'mxc://example.org/b')
  expect(heard).toEqual(['mxc://example.org/a'])
})

describeWith('postgres', 'Messages between instances over PostgreSQL', () => {
  test('reach every instance once, the sender at once', async () => {
    await using group = await startGroup()
    const [one, other] = [group.listen(group.one, 'uploaded'), group.listen(group.other, 'uploaded')]
    group.one.notify('uploaded', `it's "here" \\ ✓`)
    expect(one).toEqual([`it's "here" \\ ✓`])
    await vi.waitFor(() => expect(other).toEqual([`it's "here" \\ ✓`]), 10_000)
    // Messages arrive in order: once the second is there, the first cannot come again.
    group.other.notify('uploaded', 'second')
    await vi.waitFor(() => expect(one).toEqual([`it's "here" \\ ✓`, 'second']), 10_000)
    expect(other).toEqual([`it's "here" \\ ✓`, 'second'])
  })

  test('that one could not hear are known to be missed, once it hears again', async () => {
    await using group = await startGroup()
    const [missed, heard] = [group.listen(group.one, 'missed'), group.listen(group.one, 'uploaded')]
    await group.gate.close()
    group.other.notify('uploaded', 'unheard')
    await group.gate.open()
    await vi.waitFor(() => expect(missed).toEqual(['']), { timeout: 10_000 })
    group.other.notify('uploaded', 'heard')
    await vi.waitFor(() => expect(heard).toEqual(['heard']), 10_000)
  })

  test('that one could not send are known to be missed by the others, once it can', async () => {
    await using group = await startGroup()
    const missed = group.listen(group.other, 'missed')
    await group.gate.close()
    await vi.waitFor(() => expect(group.warnings()).toBeGreaterThan(0), 10_000)
    group.one.notify('forgotten', 'untold')
    await group.gate.open()
    await vi.waitFor(() => expect(missed).toEqual(['']), { timeout: 10_000 })
  })

  test('do not go missing because a connection that nobody used was lost', async () => {
    await using group = await startGroup()
    const [own, others] = [group.listen(group.one, 'missed'), group.listen(group.other, 'missed')]
    await group.gate.close()
    await group.gate.open()
    await vi.waitFor(() => expect(own).toEqual(['']), { timeout: 10_000 })
    expect(others).toEqual([])
  })

  test('do not keep a server from starting or ending while PostgreSQL is away', async () => {
    await using group = await startGroup()
    await group.gate.close()
    const began = performance.now()
    {
      await using late = group.open(group.gate.port)
      await late.start()
      late.notify('uploaded', 'to nobody')
    }
    await group.one[Symbol.asyncDispose]()
    expect(performance.now() - began).toBeLessThan(1500)
  })
})

interface Group extends AsyncDisposable {
  /** Its connection goes through the gate. */
  readonly one: Notifier
  readonly other: Notifier
  readonly gate: Gate
  readonly open: (port: number) => SharedNotifier
  /** Gives the messages that come from now on, as they come. */
  readonly listen: (notifier: Notifier, topic: Topic) => readonly string[]
  /** How often the log warned. */
  readonly warnings: () => number
}

async function startGroup(): Promise<Group> {
  await using cleanup = new AsyncDisposableStack()
  const config = parseDsn(cleanup.use(await freshDatabase()).url)
  const gate = cleanup.use(await startGate(config.port ?? 5432))
  let warnings = 0
  const log = pino({ level: 'warn' }, { write: () => void warnings++ })
  let opened = 0
  const open = (port: number) => {
    const transport = new PostgresTransport({ ...config, host: '127.0.0.1', port }, { log })
    return new SharedNotifier(transport, { instance: `instance ${opened++}`, clock: steadyClock(), log })
  }
  const [one, other] = [cleanup.use(open(gate.port)), cleanup.use(open(config.port ?? 5432))]
  await Promise.all([one.start(), other.start()])
  await vi.waitFor(() => expect([one, other].every((each) => each.isAttentive())).toBe(true), 10_000)
  const owned = cleanup.move()
  return {
    one,
    other,
    gate,
    open,
    listen: (notifier, topic) => {
      const heard: string[] = []
      notifier.on(topic, (message) => heard.push(message))
      return heard
    },
    warnings: () => warnings,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
