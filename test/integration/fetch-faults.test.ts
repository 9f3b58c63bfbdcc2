import { Buffer } from 'node:buffer'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Fetching, PATIENT, SIGNED, startFetching, THEIRS, V3 } from '../support/federation-client.ts'
import { byPath, head, mixed, mixedBody, response, type Script, sending } from '../support/scripted-origin.ts'
import { describeWith } from '../support/services.ts'
import { errorAnswer } from '../../src/http/errors.ts'
import { refusalOf } from '../../src/matrix/remote-error.ts'

const TYPE = 'Content-Type: multipart/mixed; boundary=b'
const BEGIN = '--b\r\n\r\n{}\r\n--b\r\nContent-Type: a/b\r\n\r\nthe fi'

let fetching: Fetching

const legacy = (script: Script): Script => byPath({ [SIGNED]: sending(response(404)), [V3]: script })

const then =
  (what: 'end' | 'reset', ...pieces: readonly (string | Uint8Array)[]): Script =>
  async (talk) => {
    await talk.send(...pieces)
    talk[what]()
  }

describeWith('openssl', 'A server', () => {
  beforeAll(async () => {
    fetching = await startFetching()
  })
  beforeEach(() => fetching.renew())
  afterAll(() => fetching[Symbol.asyncDispose]())

  test.each<[string, Script]>([
    ['hangs up within the file', then('end', head(200, [TYPE, 'Content-Length: 1000']), BEGIN)],
    ['ends its answer within the file, as if it were whole', sending(response(200, BEGIN, [TYPE]))],
    [
      'hangs up within the file, of which nothing told the length',
      then('end', head(200, [TYPE, 'Connection: close']), BEGIN),
    ],
    [
      'sends a chunk that is none',
      sending(head(200, [TYPE, 'Transfer-Encoding: chunked']), `50\r\n${BEGIN.padEnd(80)}\r\nxyz\r\n`),
    ],
    [
      'breaks off in the midst of a chunk',
      then('end', head(200, [TYPE, 'Transfer-Encoding: chunked']), `100\r\n${BEGIN}`),
    ],
    [
      'sends fewer bytes than it said, by the old endpoint',
      legacy(then('end', head(200, ['Content-Length: 10']), 'the file')),
    ],
  ])('that %s has sent no file', async (_, script) => {
    fetching.theirs.say(script)
    const error = await fetching.failure()
    expect(error).toMatchObject({ reason: 'broken', isWorthKeeping: false })
    expect(error.message).toMatch(/broke off after \d+ bytes/)
    expect(errorAnswer(refusalOf(error)).status).toBe(502)
  })

  test.each<[string, Script]>([
    ['signed', sending(head(200, [TYPE, 'Content-Length: 1000']), BEGIN.padEnd(200))],
    ['old', legacy(sending(head(200, ['Content-Length: 10']), 'the file'))],
  ])('that resets the connection within the file has sent no file, by the %s endpoint', async (_, script) => {
    const begun = Promise.withResolvers<void>()
    fetching.theirs.say(async (talk, request) => {
      await script(talk, request)
      void begun.promise.then(() => talk.reset())
    })
    const { body } = await fetching.client().fetch('ours.test', THEIRS, PATIENT)
    const read = async () => {
      for await (const chunk of body) if (chunk.length > 0) begun.resolve()
    }
    const error: unknown = await read().catch((problem: unknown) => problem)
    expect(error).toMatchObject({ reason: 'broken', isWorthKeeping: false })
  })

  test('that goes on after as many bytes as it said has sent a file of that many', async () => {
    fetching.theirs.say(legacy(then('end', head(200, ['Content-Length: 8']), 'the file and more')))
    expect((await fetching.fetch()).bytes.toString()).toBe('the file')
  })

  test.each<[string, Script, string]>([
    ['hangs up without an answer', then('end'), 'unreachable'],
    ['resets the connection without an answer', then('reset'), 'unreachable'],
    ['hangs up within the head', then('end', 'HTTP/1.1 200 OK\r\nContent-'), 'unreachable'],
    ['answers in no HTTP', sending('220 mail.example.org ESMTP\r\n'), 'broken'],
    ['has two lengths', sending('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'), 'broken'],
    ['has a length that is none', sending('HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n'), 'broken'],
    [
      'has headers without end',
      sending(
        head(
          200,
          Array.from({ length: 2000 }, (_, index) => `x-${index}: yyyyyy`),
        ),
      ),
      'broken',
    ],
    ['has one header of 20 KiB', sending(head(200, [`X-Long: ${'x'.repeat(20_000)}`])), 'broken'],
    [
      'breaks off within the JSON part',
      then('reset', head(200, [TYPE, 'Content-Length: 1000']), '--b\r\n\r\n{'),
      'unreachable',
    ],
  ])('that %s has no file for us', async (_, script, reason) => {
    fetching.theirs.say(script)
    const error = await fetching.failure()
    expect(error).toMatchObject({ reason, isWorthKeeping: false })
    expect(error.message).toContain(`${THEIRS} was asked for a_Media-Id: `)
    expect(errorAnswer(refusalOf(error)).status).toBe(502)
  })

  test.each<[string, Script]>([
    ['before its answer', () => {}],
    ['within the head', sending('HTTP/1.1 200 OK\r\nContent-')],
    ['within the JSON part', sending(head(200, [TYPE]), '--b\r\n\r\n{')],
    ['within the file', sending(head(200, [TYPE]), BEGIN)],
    ['within a refusal', sending(head(404, ['Content-Length: 100']), '{"errcode"')],
    ['within a file of the old endpoint', legacy(sending(head(200, ['Content-Length: 10']), 'the'))],
  ])('that sends nothing more %s is given up after a while', async (_, script) => {
    fetching.theirs.say(script)
    const error = await fetching.failure({ idleMs: 300, timeoutMs: 0 })
    expect(error).toMatchObject({ reason: 'timed_out', isWorthKeeping: false })
    const told = errorAnswer(refusalOf(error))
    expect(told).toMatchObject({ status: 504, body: { errcode: 'M_UNKNOWN' } })
  })

  test('may take as long as the caller is willing to wait for a file that is not uploaded yet', async () => {
    fetching.theirs.say(async (talk) => {
      await new Promise((resolve) => setTimeout(resolve, 2500))
      await talk.send(mixed('late'))
    })
    const file = await fetching.fetch({ idleMs: 1000, timeoutMs: 25_000 })
    expect(file.bytes.toString()).toBe('late')
    expect(fetching.last().target).toContain('?timeout_ms=25000')
  })

  test('that sends a byte now and then is given up when it has taken thirty times as long', async () => {
    fetching.theirs.say(async (talk) => {
      await talk.send(head(200, [TYPE]), BEGIN)
      while (!talk.hungUp()) {
        await talk.send('x')
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    })
    expect(await fetching.failure({ idleMs: 100 })).toMatchObject({ reason: 'timed_out', isWorthKeeping: false })
  })

  test('is hung up on when whoever asked leaves: before the answer, within it, and unread', async () => {
    const reason = new Error('left')
    for (const script of [() => {}, sending(head(200, [TYPE]), BEGIN)] satisfies readonly Script[]) {
      const hungUp = Promise.withResolvers<void>()
      const leaving = new AbortController()
      fetching.theirs.say(async (talk, request) => {
        await script(talk, request)
        setTimeout(() => leaving.abort(reason), 100)
        await talk.onceHungUp
        hungUp.resolve()
      })
      await expect(fetching.fetch({ signal: leaving.signal })).rejects.toBe(reason)
      await hungUp.promise
    }
    const hungUp = Promise.withResolvers<void>()
    fetching.theirs.say(async (talk) => {
      await talk.send(head(200, [TYPE]), BEGIN)
      await talk.onceHungUp
      hungUp.resolve()
    })
    const { body } = await fetching.client().fetch('ours.test', THEIRS, PATIENT)
    body.destroy()
    await hungUp.promise
  })

  test('is hung up on when its answer is of no use, before another is read', async () => {
    for (const answer of [
      head(200, ['Content-Type: text/html']),
      Buffer.concat([head(200, [TYPE]), Buffer.from('--b\r\n\r\n{\r\n--b\r\n\r\n')]),
    ]) {
      const hungUp = Promise.withResolvers<void>()
      fetching.theirs.say(
        byPath({
          [SIGNED]: async (talk) => {
            await talk.send(answer)
            await talk.onceHungUp
            hungUp.resolve()
          },
          [V3]: async (talk) => {
            await hungUp.promise
            await talk.send(response(200, 'the file'))
          },
        }),
      )
      expect((await fetching.fetch()).bytes.toString()).toBe('the file')
    }
  })

  test('is not asked for whoever has left already', async () => {
    const reason = new Error('left')
    await expect(fetching.fetch({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(fetching.asked()).toEqual([])
  })

  test('is not waited for by whoever leaves while it is looked up', async () => {
    fetching.internet.dns.set('silent.test', 'silence')
    const reason = new Error('left')
    const leaving = new AbortController()
    setTimeout(() => leaving.abort(reason), 50)
    await expect(fetching.fetch({ origin: 'silent.test:8448', signal: leaving.signal })).rejects.toBe(reason)
  })

  test('leaves no listener behind, file after file', async () => {
    const { signal } = new AbortController()
    let listeners = 0
    const counted = Object.assign(signal, {
      addEventListener: (...event: Parameters<AbortSignal['addEventListener']>) => {
        listeners++
        EventTarget.prototype.addEventListener.apply(signal, event)
      },
      removeEventListener: (...event: Parameters<AbortSignal['removeEventListener']>) => {
        listeners--
        EventTarget.prototype.removeEventListener.apply(signal, event)
      },
    })
    fetching.theirs.say(sending(mixed('the file')))
    await fetching.fetch({ signal: counted })
    fetching.theirs.say(sending(response(403)))
    await fetching.failure({ signal: counted })
    expect(listeners).toBe(0)
  })

  test.each<[string, string, string, number]>([
    ['that the DNS does not know', 'nowhere.test:8448', 'no_such_server', 502],
    ['for which the DNS does not answer', 'broken-dns.test:8448', 'unreachable', 502],
    ['that takes no connections', 'theirs.test:1', 'unreachable', 502],
    ['whose name is none', 'no server', 'no_such_server', 502],
    ['in a private network', '10.0.0.1', 'address_refused', 502],
    ['with the certificate of another', 'false.test:8448', 'untrusted', 502],
    ['that says it is none', 'none.test', 'no_such_server', 502],
  ])('%s has no file for us', async (_, origin, reason, status) => {
    const { dns } = fetching.internet
    dns.set('broken-dns.test', 'SERVFAIL')
    dns.set('false.test', { A: ['203.0.113.10'] })
    dns.set('_matrix-fed._tcp.none.test', { SRV: [{ target: '.', port: 1 }] })
    const error = await fetching.failure({ origin })
    expect(error).toMatchObject({ reason, isWorthKeeping: reason !== 'unreachable' })
    expect(error.message).toContain(`${origin} was asked for a_Media-Id: `)
    expect(errorAnswer(refusalOf(error)).status).toBe(status)
  })

  test('at several places, all with the certificate of another, cannot prove who it is', async () => {
    const { dns } = fetching.internet
    const targets = ['one', 'two'].map((target) => ({ target: `${target}.test`, port: 8448 }))
    dns.set('_matrix-fed._tcp.several.test', { SRV: targets })
    for (const { target } of targets) dns.set(target, { A: ['203.0.113.10'] })
    expect((await fetching.failure({ origin: 'several.test' })).reason).toBe('untrusted')
    dns.set('two.test', { A: ['203.0.113.98'] })
    fetching.renew()
    expect((await fetching.failure({ origin: 'several.test' })).reason).toBe('unreachable')
  })

  test('that keeps failing is left alone, and its files with it', async () => {
    fetching.theirs.say(sending(response(500)))
    for (let time = 0; time < 20; time++) expect((await fetching.failure()).reason).toBe('failing')
    const asked = fetching.asked().length
    const error = await fetching.failure()
    expect(error).toMatchObject({ reason: 'left_alone', retryAfterMs: 500, isWorthKeeping: false })
    expect(error.message).toContain('answered 500')
    expect(fetching.asked()).toHaveLength(asked)
    fetching.internet.clock.wait(500)
    fetching.theirs.say(sending(response(200, mixedBody('back', { boundary: 'b' }), [TYPE])))
    expect((await fetching.fetch()).bytes.toString()).toBe('back')
  })
})
