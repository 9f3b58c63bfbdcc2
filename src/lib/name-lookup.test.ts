import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type DnsServer, startDns } from '../../test/support/dns-server.ts'
import { temporaryFolder } from '../../test/support/folder.ts'
import { NameLookup } from './name-lookup.ts'

let dns: DnsServer
let lookup: NameLookup
let now = 0

beforeAll(async () => {
  dns = await startDns()
  lookup = new NameLookup({ clock: { now: () => now }, servers: [dns.address], hostsFile: '/nonexistent', tryMs: 300 })
})
afterAll(() => dns[Symbol.asyncDispose]())

test('Names have IPv4 and IPv6 addresses, also through aliases', async () => {
  dns.set('both.test', { A: ['192.0.2.1', '192.0.2.2'], AAAA: ['2001:db8::1'] })
  dns.set('alias.test', { CNAME: 'both.test' })
  for (const name of ['both.test', 'BOTH.test.', 'alias.test']) {
    expect((await lookup.addresses(name)).toSorted()).toEqual(['192.0.2.1', '192.0.2.2', '2001:db8::1'])
  }
  expect([await lookup.alias('alias.test'), await lookup.alias('both.test')]).toEqual(['both.test', undefined])
})

test('One family of addresses is enough, when the other has none, fails, or nobody answers for it', async () => {
  dns.set('four.test', { A: ['192.0.2.1'] })
  dns.set('failing.test', (type) => (type === 'A' ? 'SERVFAIL' : { AAAA: ['2001:db8::1'] }))
  dns.set('silent.test', (type) => (type === 'AAAA' ? 'silence' : { A: ['192.0.2.1'] }))
  expect(await lookup.addresses('four.test')).toEqual(['192.0.2.1'])
  expect(await lookup.addresses('failing.test')).toEqual(['2001:db8::1'])
  expect(await lookup.addresses('silent.test')).toEqual(['192.0.2.1'])
})

const temporary = async (name: string) =>
  await lookup.addresses(name).then(
    () => 'found',
    (error: unknown) => (error as { temporary?: boolean }).temporary,
  )

test('A name that does not exist is told from one that nobody answers for', async () => {
  dns.set('empty.test', {})
  dns.set('servfail.test', 'SERVFAIL')
  dns.set('refused.test', 'REFUSED')
  dns.set('quiet.test', 'silence')
  expect(await temporary('missing.test')).toBe(false)
  expect(await temporary('empty.test')).toBe(false)
  expect(await temporary('a..b')).toBe(false)
  expect(await temporary('servfail.test')).toBe(true)
  expect(await temporary('refused.test')).toBe(true)
  expect(await temporary('quiet.test')).toBe(true)
})

test('SRV records come with priority and weight', async () => {
  dns.set('_matrix-fed._tcp.srv.test', { SRV: [{ target: 'one.test', port: 8448, priority: 10, weight: 5 }] })
  expect(await lookup.srv('_matrix-fed._tcp.srv.test')).toEqual([
    { name: 'one.test', port: 8448, priority: 10, weight: 5 },
  ])
  await expect(lookup.srv('_matrix._tcp.srv.test')).rejects.toMatchObject({ temporary: false })
})

test('The hosts file comes first, and is read again when it has changed', async () => {
  await using folder = await temporaryFolder()
  const hostsFile = join(folder.path, 'hosts')
  await writeFile(hostsFile, '# comment\n192.0.2.7 Listed.test other.test # mine\n2001:db8::7\tlisted.test\n\n')
  dns.set('listed.test', { A: ['192.0.2.99'] })
  const own = new NameLookup({ clock: { now: () => now }, servers: [dns.address], hostsFile })
  expect(await own.addresses('listed.test')).toEqual(['192.0.2.7', '2001:db8::7'])
  expect(await own.addresses('other.test.')).toEqual(['192.0.2.7'])
  await writeFile(hostsFile, '192.0.2.8 other.test\n')
  now += 5000
  expect(await own.addresses('other.test')).toEqual(['192.0.2.8'])
  expect(await own.addresses('listed.test')).toEqual(['192.0.2.99'])
})

test('localhost is this machine, whatever the DNS says', async () => {
  dns.set('localhost', { A: ['192.0.2.1'] })
  expect(await lookup.addresses('localhost')).toEqual(['127.0.0.1', '::1'])
  expect(await lookup.addresses('any.localhost')).toEqual(['127.0.0.1', '::1'])
})

test('Files are read while a hundred dead domains are looked up', async () => {
  for (let index = 0; index < 100; index++) dns.set(`dead${index}.test`, 'silence')
  let ended = 0
  const dead = Array.from({ length: 100 }, (_, index) =>
    lookup.addresses(`dead${index}.test`).catch(() => void ended++),
  )
  await using file = await open(new URL(import.meta.url).pathname)
  const { bytesRead } = await file.read(Buffer.alloc(100), 0, 100, 0)
  expect([bytesRead, ended]).toEqual([100, 0])
  await Promise.all(dead)
  expect(ended).toBe(100)
})
