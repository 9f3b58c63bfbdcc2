import { mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { openConfigStore } from '../../src/config/store.ts'
import { ConfigError } from '../../src/lib/errors.ts'
import { temporaryFolder } from '../support/folder.ts'
import { recordingLog } from '../support/log.ts'
import { pausesOf } from '../support/pauses.ts'

const config = (maxBytes: number | string) =>
  `homeservers: [{name: example.org, csApi: "http://hs"}]\nuploads: {minBytes: 0, maxBytes: ${maxBytes}}\n`

const QUICK = { pollMs: 60_000, debounceMs: 20 }
const POLLING = { pollMs: 30, debounceMs: 60_000 }
const BOTH = [
  ['noticed by the system', QUICK],
  ['noticed by looking', POLLING],
] as const

async function open(path: string, timing = QUICK) {
  const { log, lines } = recordingLog()
  const store = await openConfigStore({ path }, { log, ...timing })
  const maxBytes = () => store.current().main.uploads.maxBytes
  return {
    store,
    lines,
    maxBytes,
    becomes: (value: number) => vi.waitFor(() => expect(maxBytes()).toBe(value), 30_000),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe.each(BOTH)('A changed configuration is followed, %s', (_how, timing) => {
  test('when the file is written', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': config(1) })
    await using opened = await open(join(folder.path, 'a.yaml'), timing)
    const { becomes } = opened
    await folder.write('a.yaml', config(2))
    await becomes(2)
  })

  test('when another file is renamed over it, again and again', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': config(1) })
    await using opened = await open(join(folder.path, 'a.yaml'), timing)
    const { becomes } = opened
    for (const value of [2, 3, 4]) {
      await rename(await folder.write('new', config(value)), join(folder.path, 'a.yaml'))
      await becomes(value)
    }
  })

  test('when the link behind it is swapped, as Kubernetes does', async () => {
    await using folder = await temporaryFolder({
      '..1/a.yaml': config(1),
      '..2/a.yaml': config(2),
      '..3/a.yaml': config(3),
    })
    const at = (name: string) => join(folder.path, name)
    await symlink('..1', at('..data'))
    await symlink('..data/a.yaml', at('a.yaml'))
    await using opened = await open(folder.path, timing)
    const { becomes } = opened
    for (const value of [2, 3]) {
      await symlink(`..${value}`, at('..new'))
      await rename(at('..new'), at('..data'))
      await becomes(value)
    }
  })

  test('when files are added to the folder and removed from it', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': config(1) })
    await using opened = await open(folder.path, timing)
    const { becomes } = opened
    const added = await folder.write('b.yaml', 'uploads: {maxBytes: 7}\n')
    await becomes(7)
    await rm(added)
    await becomes(1)
  })
})

describe('A changed configuration', () => {
  test('is followed when the whole folder is replaced by another, and in that one, too', async () => {
    await using folder = await temporaryFolder({ 'conf/a.yaml': config(1), 'next/a.yaml': config(2) })
    await using opened = await open(join(folder.path, 'conf'), { pollMs: 400, debounceMs: 20 })
    await rename(join(folder.path, 'conf'), join(folder.path, 'old'))
    await rename(join(folder.path, 'next'), join(folder.path, 'conf'))
    await opened.becomes(2)
    await folder.write('conf/b.yaml', 'uploads: {maxBytes: 3}')
    await opened.becomes(3)
  })

  test.runIf(process.platform === 'linux')(
    'is noticed by the system also in a folder that replaced another',
    async () => {
      await using folder = await temporaryFolder({ 'conf/a.yaml': config(1), 'next/a.yaml': config(2) })
      await using opened = await open(join(folder.path, 'conf'))
      await rename(join(folder.path, 'conf'), join(folder.path, 'old'))
      await rename(join(folder.path, 'next'), join(folder.path, 'conf'))
      await opened.becomes(2)
      await folder.write('conf/b.yaml', 'uploads: {maxBytes: 3}')
      await opened.becomes(3)
    },
  )

  test('says which options are in force now and which need a restart', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': config(1) })
    await using opened = await open(join(folder.path, 'a.yaml'))
    const { lines, becomes } = opened
    await folder.write('a.yaml', `${config(2)}repo: {port: 9}\nsharedSecretAuth: {enabled: true, token: hushhush}\n`)
    await becomes(2)
    const line = lines.find(({ msg }) => msg.startsWith('configuration reloaded'))
    expect(line).toMatchObject({
      live: ['sharedSecretAuth.enabled', 'sharedSecretAuth.token', 'uploads.maxBytes'],
      restart: ['repo.port'],
    })
    expect(JSON.stringify(lines)).not.toContain('hushhush')
  })

  test('of one homeserver is named with it, and does not repeat what changed for all', async () => {
    await using folder = await temporaryFolder({
      'a.yaml': config(1),
      'b.yaml': 'homeserver: example.org\nidenticons: {enabled: true}\n',
    })
    await using opened = await open(folder.path)
    const { lines, becomes } = opened
    await folder.write(
      'b.yaml',
      'homeserver: example.org\nidenticons: {enabled: false}\nrepo: {freezeUnauthenticatedMedia: no}\n',
    )
    await folder.write('a.yaml', config(2))
    await becomes(2)
    const live = lines.flatMap((line) => (Array.isArray(line['live']) ? line['live'] : []))
    expect(new Set(live)).toEqual(
      new Set(['example.org: identicons.enabled', 'example.org: repo.freezeUnauthenticatedMedia', 'uploads.maxBytes']),
    )
  })

  test('that is broken keeps the old one and is logged once, until it is right again', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': config(1) })
    await using opened = await open(join(folder.path, 'a.yaml'))
    const { lines, maxBytes, becomes } = opened
    const failures = () => lines.filter(({ level }) => level === 50)
    const file = await folder.write('a.yaml', config('lots'))
    await vi.waitFor(() => expect(failures()).toHaveLength(1), 30_000)
    expect(failures()[0]).toMatchObject({
      problems: [`${file}:2: uploads.maxBytes: must be a whole number, is "lots"`],
    })
    expect(maxBytes()).toBe(1)

    await utimes(file, 1, 1)
    await wait(150)
    expect(failures()).toHaveLength(1)
    await folder.write('a.yaml', 'uploads: [\n')
    await vi.waitFor(() => expect(failures()).toHaveLength(2), 30_000)
    await folder.write('a.yaml', config(3))
    await becomes(3)
  })

  test('that vanished keeps the old one until it comes back', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': config(1) })
    await using opened = await open(join(folder.path, 'a.yaml'))
    const { lines, maxBytes, becomes } = opened
    await rm(join(folder.path, 'a.yaml'))
    await vi.waitFor(() => expect(lines.some(({ level }) => level === 50)).toBe(true), 30_000)
    expect(maxBytes()).toBe(1)
    await folder.write('a.yaml', config(2))
    await becomes(2)
  })

  test('does not disturb who holds the old one, and reaches those who asked', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': config(1) })
    await using opened = await open(join(folder.path, 'a.yaml'), { pollMs: 60_000, debounceMs: 60_000 })
    const { store, lines } = opened
    const held = store.current()
    const heard: number[][] = []
    store.onChange(() => {
      throw new Error('a bad listener')
    })
    const stop = store.onChange((next, previous) =>
      heard.push([previous, next].map(({ main }) => main.uploads.maxBytes)),
    )
    await folder.write('a.yaml', config(2))
    await store.reload()
    stop()
    await folder.write('a.yaml', config(3))
    await store.reload()
    expect(held.main.uploads.maxBytes).toBe(1)
    expect(store.current().main.uploads.maxBytes).toBe(3)
    expect(heard).toEqual([[1, 2]])
    expect(lines.some(({ msg }) => msg.includes('could not follow'))).toBe(true)
  })

  test('is not announced when nothing in it changed', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': config(1) })
    await using opened = await open(join(folder.path, 'a.yaml'), { pollMs: 60_000, debounceMs: 60_000 })
    const { store, lines } = opened
    const heard = vi.fn()
    store.onChange(heard)
    await folder.write('a.yaml', `# another word\n${config(1)}`)
    await store.reload()
    expect(heard).not.toHaveBeenCalled()
    expect(lines.map(({ msg }) => msg)).toEqual(['configuration read again, nothing changed'])
  })
})

test('A configuration that is broken at the start is an error, and nothing is left watching', async () => {
  await using folder = await temporaryFolder({ 'a.yaml': config('lots') })
  await expect(open(join(folder.path, 'a.yaml'), POLLING)).rejects.toThrow('uploads.maxBytes')
})

test('A store that was closed follows nothing any more', async () => {
  await using folder = await temporaryFolder({ 'a.yaml': config(1) })
  const { store, maxBytes } = await open(join(folder.path, 'a.yaml'), { pollMs: 20, debounceMs: 10 })
  await store[Symbol.asyncDispose]()
  await folder.write('a.yaml', config(2))
  await wait(150)
  expect(maxBytes()).toBe(1)
})

test('200 per-domain files are reloaded without a pause that a user would notice', async () => {
  await using folder = await temporaryFolder({ '0.yaml': config(1) })
  await mkdir(join(folder.path, 'unused'))
  for (let index = 0; index < 200; index += 1) {
    const text = `homeserver: d${index}.example.org\ncsApi: http://hs\nuploads: {minBytes: ${index}}\n`
    await writeFile(join(folder.path, `d${index}.yaml`), text)
  }
  await using opened = await open(folder.path, { pollMs: 60_000, debounceMs: 60_000 })
  const { store, lines } = opened
  await folder.write('0.yaml', config(2))

  const { longestMs, turns } = await pausesOf(() => store.reload())
  expect(lines.at(-1)).toMatchObject({ live: ['uploads.maxBytes'], restart: [] })
  expect(longestMs).toBeLessThan(100)
  expect(turns).toBeGreaterThan(5)
})

test('A configuration that one part of the server refuses is in force in none, and what others opened for it is closed', async () => {
  await using folder = await temporaryFolder({ 'a.yaml': config(1) })
  // Only what is asked for here is read.
  await using opened = await open(join(folder.path, 'a.yaml'), { pollMs: 600_000, debounceMs: 600_000 })
  const { store, maxBytes, lines } = opened
  const [apply, discard] = [vi.fn(), vi.fn(async () => {})]
  store.beforeChange(async () => ({ apply, discard }))
  const refuse = store.beforeChange(async ({ main }) => {
    throw new ConfigError([`${main.uploads.maxBytes} is not for me`])
  })
  await folder.write('a.yaml', config(2))
  await store.reload()
  expect([maxBytes(), apply.mock.calls.length, discard.mock.calls.length]).toEqual([1, 0, 1])
  expect(JSON.stringify(lines)).toContain('2 is not for me')
  refuse()
  await store.reload()
  expect([maxBytes(), apply.mock.calls.length, discard.mock.calls.length]).toEqual([2, 1, 1])
})
