import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'

import type { LogOptions, LogParts } from './log.ts'
import { logDirectly, openLog, pinoLevel } from './log.ts'
import type { Output } from './log-output.ts'

const BOXING_DAY = Date.UTC(2024, 11, 26, 10, 0, 0, 7)
const TEXT: LogOptions = { logDirectory: '-', logColors: false, jsonLogs: false, logLevel: 'info' }

class Terminal implements Output {
  lines: string[] = []
  write(line: string) {
    this.lines.push(line)
  }
  flushSync() {}
  async close() {}
  get last() {
    return this.lines.at(-1) ?? ''
  }
}

let folder: string
let terminal: Terminal
let now: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cellarium-log-'))
  terminal = new Terminal()
  now = BOXING_DAY
})

afterEach(() => rm(folder, { recursive: true, force: true }))

function open(options: Partial<LogOptions> = {}, parts: LogParts = {}) {
  return openLog({ ...TEXT, ...options }, { terminal, clock: { now: () => now }, ...parts })
}

test('a text line has the time, level and message as MMR writes them, then the fields', () => {
  open().log.info({ host: 'example.org', status: 200, userAgent: 'Element X' }, 'request finished')
  expect(terminal.last).toBe(
    'time="2024-12-26 10:00:00.007 Z" level=info msg="request finished" host=example.org status=200 userAgent="Element X"\n',
  )
})

test('the fields of a request appear on each of its lines', () => {
  const request = open().log.child({ requestId: 'REQ-7' })
  request.warn({ sizes: [1, { a: 'b]' }], caller: { user: '@a:b' } }, 'odd')
  expect(terminal.last).toContain('level=warning msg=odd requestId=REQ-7 sizes=[1,{"a":"b]"}] caller.user="@a:b"\n')
})

test('an error is written with its message and its stack, on one line', () => {
  open().log.error({ err: new TypeError('no such thing') }, 'failed')
  expect(terminal.last).toMatch(
    /^time="[^"]+" level=error msg=failed err\.type=TypeError err\.message="no such thing" err\.stack="/,
  )
  expect(terminal.last.split('\n')).toHaveLength(2)
})

test('what a cause says as well is said once', () => {
  const cause = new Error('connection refused')
  open().log.error({ err: new Error('asked db: connection refused', { cause }) }, 'failed')
  expect(terminal.last).toContain('err.message="asked db: connection refused" ')
  open().log.error({ err: new Error('asked db', { cause }) }, 'failed')
  expect(terminal.last).toContain('err.message="asked db: connection refused" ')
})

test('stacks can be left out', () => {
  open({}, { stacks: false }).log.error({ err: new TypeError('no such thing') }, 'failed')
  expect(terminal.last).toMatch(/msg=failed err\.type=TypeError err\.message="no such thing"\n$/)
})

test('JSON lines have an ISO time, the level as a word and the message as msg', () => {
  open({ jsonLogs: true }).log.warn({ host: 'example.org' }, 'slow')
  expect(JSON.parse(terminal.last)).toEqual({
    level: 'warning',
    time: '2024-12-26T10:00:00.007Z',
    host: 'example.org',
    msg: 'slow',
  })
})

test('with logColors the terminal shows colours and the files do not', async () => {
  const opened = open({ logColors: true, logDirectory: folder })
  opened.log.error({ host: 'a' }, 'failed')
  await opened[Symbol.asyncDispose]()
  const [red, plain] = ['\u001b[31m', '\u001b[0m']
  const message = 'failed'.padEnd(44)
  expect(terminal.last).toBe(`${red}ERRO${plain}[2024-12-26 10:00:00.007 Z] ${message} ${red}host${plain}=a\n`)
  expect(await readFile(join(folder, 'media_repo.log'), 'utf8')).not.toContain('\u001b')
})

test('logLevel takes the names MMR takes, and another word is refused with the list of them', () => {
  const names = ['panic', 'fatal', 'error', 'warning', 'warn', 'info', 'debug', 'trace', 'INFO']
  expect(names.map(pinoLevel)).toEqual(['fatal', 'fatal', 'error', 'warn', 'warn', 'info', 'debug', 'trace', 'info'])
  expect(() => open({ logLevel: 'loud' })).toThrow('repo.logLevel: "loud" is none of panic, fatal')
})

test('lines below logLevel are not written', () => {
  const { log } = open({ logLevel: 'warning' })
  log.info('quiet')
  log.warn('heard')
  expect(terminal.lines).toHaveLength(1)
})

test('a file name cannot forge a log line or send commands to the terminal', () => {
  const name = 'a.png\ntime="2024-12-26" level=error msg="forged" \r\u001b[2J\u009b31m\u202egnp.exe\u2028 "quoted" \\'
  open().log.info({ name }, name)
  expect(terminal.last.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u202e]/u)
  expect(terminal.last).toContain(String.raw`a.png\ntime=\"2024-12-26\"`)
  expect(terminal.last).toContain(String.raw`\u001b[2J\u009b31m\u202egnp.exe\u2028 \"quoted\" \\" name=`)
})

test('any field and message come out as one line from which they can be read back', () => {
  const { log } = open()
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (message, value) => {
      log.info({ value, nested: { value }, list: [value] }, message.replaceAll('%', ''))
      const match = /^time="[^"]+" level=info msg=(.*) value=(.*) nested\.value=(.*) list=(.*)\n$/.exec(terminal.last)
      const [msg, first, second, list] = (match ?? []).slice(1).map(read)
      expect([msg, first, second, list]).toEqual([message.replaceAll('%', ''), value, value, [value]].map(visible))
    }),
  )
})

test('a line that is written directly is the one that would have been written anyway', () => {
  const { log } = open()
  const any = fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl(), fc.constant('Bearer abc'), fc.constant(undefined))
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      any,
      any,
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      (...of) => {
        const [message, first, second, number] = of
        const fields = { first, status: 200, second, number, url: `/a?access_token=${first}` }
        log.info(fields, message.replaceAll('%', ''))
        const usual = terminal.last
        logDirectly(log, fields, message.replaceAll('%', ''))
        expect(terminal.last).toBe(usual)
        expect(terminal.lines).toHaveLength(2)
        terminal.lines = []
      },
    ),
  )
})

test('a line that is written directly has the fields of a child, and obeys format and level', () => {
  const { log } = open()
  logDirectly(log.child({ requestId: 'REQ-7' }), { status: 200 }, 'done')
  expect(terminal.last).toContain(' msg=done requestId=REQ-7 status=200')
  logDirectly(open({ jsonLogs: true }).log, { status: 200 }, 'done')
  expect(JSON.parse(terminal.last)).toMatchObject({ level: 'info', status: 200, msg: 'done' })
  const before = terminal.lines.length
  logDirectly(open({ logLevel: 'warning' }).log, { status: 200 }, 'done')
  expect(terminal.lines).toHaveLength(before)
})

test('tokens are not written, wherever in a line they are', () => {
  open({ jsonLogs: true }).log.info(
    { req: { headers: { authorization: 'Bearer abcdef' } } },
    '/upload?access_token=abcdef',
  )
  expect(terminal.last).not.toContain('abcdef')
})

test('with logDirectory a dated file is written beside the terminal, and media_repo.log points to it', async () => {
  const opened = open({ logDirectory: join(folder, 'new', 'logs') })
  opened.log.info('hello')
  await opened[Symbol.asyncDispose]()
  expect(await readlink(join(folder, 'new', 'logs', 'media_repo.log'))).toBe('media_repo.log.202412260000')
  expect(await readFile(join(folder, 'new', 'logs', 'media_repo.log.202412260000'), 'utf8')).toBe(terminal.last)
})

test('at midnight UTC a new file begins, and files older than 14 days go', async () => {
  const others = ['media_repo.log.202412110000', 'media_repo.log.202412130000', 'notes.txt', 'media_repo.log.old']
  await Promise.all(others.map((name) => writeFile(join(folder, name), 'x')))
  const opened = open({ logDirectory: folder })
  opened.log.info('before')
  now = Date.UTC(2024, 11, 27, 0, 0, 0, 0)
  opened.log.info('after')
  await opened[Symbol.asyncDispose]()
  expect((await readdir(folder)).sort()).toEqual([
    'media_repo.log',
    'media_repo.log.202412130000',
    'media_repo.log.202412260000',
    'media_repo.log.202412270000',
    'media_repo.log.old',
    'notes.txt',
  ])
  expect(await readlink(join(folder, 'media_repo.log'))).toBe('media_repo.log.202412270000')
  expect(await readFile(join(folder, 'media_repo.log.202412260000'), 'utf8')).toContain('before')
  expect(await readFile(join(folder, 'media_repo.log.202412270000'), 'utf8')).toContain('after')
})

test('a log folder that cannot be written is one warning, and the terminal goes on', async () => {
  await writeFile(join(folder, 'file'), '')
  const opened = open({ logDirectory: join(folder, 'file', 'logs') })
  opened.log.info('hello')
  expect(terminal.lines).toHaveLength(2)
  expect(terminal.lines[0]).toContain('level=warning')
  expect(terminal.lines[0]).toContain('logging to the terminal only')
  await opened[Symbol.asyncDispose]()
})

test('two instances may log into the same folder: no line is lost or torn', async () => {
  const [one, two] = [open({ logDirectory: folder }), open({ logDirectory: folder })]
  for (let line = 0; line < 2_000; line += 1) {
    one.log.info({ line, padding: 'x'.repeat(line % 300) }, 'one')
    two.log.info({ line, padding: 'x'.repeat(line % 200) }, 'two')
  }
  await Promise.all([one[Symbol.asyncDispose](), two[Symbol.asyncDispose]()])
  const written = (await readFile(join(folder, 'media_repo.log'), 'utf8')).trimEnd().split('\n')
  expect(new Set(written)).toEqual(new Set(terminal.lines.map((line) => line.trimEnd())))
  expect(written).toHaveLength(4_000)
})

test.each(['process.exit(3)', 'throw new Error("x")', ''])(
  'lines written just before the end (%s) are not lost',
  (end) => {
    const script = `
    import { openLog } from ${JSON.stringify(new URL('./log.ts', import.meta.url).href)}
    const { log } = openLog({ logDirectory: ${JSON.stringify(folder)}, logColors: false, jsonLogs: false, logLevel: 'info' })
    for (let line = 0; line < 500; line += 1) log.info({ line }, 'last words')
    ${end}`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    expect(stdout.trimEnd().split('\n')).toHaveLength(500)
  },
)

/** A logfmt value as a reader of logfmt understands it. */
function read(written: string): unknown {
  return /^["[]/.test(written) ? JSON.parse(written) : written
}

/** What JSON makes of a string with half a surrogate pair: nothing is lost otherwise. */
function visible(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}
