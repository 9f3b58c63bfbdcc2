import { BlockList, isIPv4 } from 'node:net'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { describe, expect, test } from 'vitest'
import { PRIVATE_NETWORKS } from './networks.ts'
import { isOddAddress, networkRules } from '../lib/addresses.ts'

const everywhere = ['0.0.0.0/0', '::/0']
const usual = networkRules({ section: 'federation', allowedNetworks: everywhere, disallowedNetworks: PRIVATE_NETWORKS })

const forbidden: readonly (readonly [what: string, addresses: readonly string[]])[] = [
  ['the own machine', ['127.0.0.1', '127.255.255.254', '::1', '0.0.0.0', '0.1.2.3', '::']],
  ['private networks', ['10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fc00::1', 'fdff::1', 'fec0::1']],
  ['link-local addresses', ['169.254.169.254', 'fe80::1', 'fe80:0:0:1::1', 'febf::1', 'fe80::1%eth0']],
  ['carrier-grade NAT', ['100.64.0.1', '100.127.255.255']],
  ['multicast and broadcast', ['224.0.0.1', '239.255.255.250', '255.255.255.255', 'ff02::1', '240.0.0.1']],
  ['IPv4-mapped addresses', ['::ffff:127.0.0.1', '::ffff:7f00:1', '0:0:0:0:0:ffff:10.0.0.1']],
  ['IPv4-compatible addresses', ['::127.0.0.1', '::a00:1']],
  ['IPv4-translated addresses', ['::ffff:0:127.0.0.1', '::ffff:0:a00:1']],
  ['NAT64', ['64:ff9b::127.0.0.1', '64:ff9b::a00:1', '64:ff9b:1::10.0.0.1', '64:ff9b:1:a00:0:100::', '64:ff9b:1::']],
  [
    'NAT64 with longer prefixes',
    ['64:ff9b:1:fe0a:0:1::', '64:ff9b:1:fffe:a:0:100:0', '64:ff9b:1:fffe::169.254.169.254'],
  ],
  ['6to4', ['2002:7f00:1::', '2002:a00:1::1', '2002:c0a8:101::1']],
  ['Teredo, by its server or its client', ['2001:0:a00:1::1', '2001:0:cb00:7101:0:0:f5ff:fffe']],
  ['ISATAP', ['2001:db8::5efe:10.0.0.1', '2001:db8::200:5efe:7f00:1']],
]

describe('The usual lists forbid', () => {
  test.each(forbidden)('%s', (_, addresses) => {
    for (const address of addresses) expect([address, usual.refusalOf(address)]).toEqual([address, expect.any(String)])
  })
})

test('The usual lists let public addresses through, also inside others', () => {
  const fine = [
    '8.8.8.8',
    '172.32.0.1',
    '100.128.0.1',
    '2606:4700::1',
    '::ffff:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '64:ff9b:1::8.8.8.8',
    '2002:808:808::1',
  ]
  for (const address of fine) expect([address, usual.refusalOf(address)]).toEqual([address, undefined])
})

test('A refusal names the address meant, the network and the option', () => {
  expect(usual.refusalOf('2002:a00:1::1')).toBe(
    '2002:a00:1::1 leads to 10.0.0.1: federation.disallowedNetworks has 10.0.0.0/8',
  )
  const few = networkRules({ section: 'urlPreviews', allowedNetworks: ['0.0.0.0/0'], disallowedNetworks: [] })
  expect(few.refusalOf('2606:4700::1')).toBe('2606:4700::1: not in urlPreviews.allowedNetworks')
})

test('Private addresses can be allowed, but nobody is ever at 0.0.0.0', () => {
  const open = networkRules({ section: 'federation', allowedNetworks: everywhere, disallowedNetworks: [] })
  expect(open.refusalOf('10.0.0.1')).toBeUndefined()
  expect(open.refusalOf('::1')).toBeUndefined()
  for (const address of ['0.0.0.0', '::', '::ffff:0.0.0.0', '64:ff9b::']) expect(open.refusalOf(address)).toBeDefined()
})

test('A network written as IPv4-mapped holds the IPv4 addresses in it', () => {
  const rules = networkRules({
    section: 'federation',
    allowedNetworks: everywhere,
    disallowedNetworks: ['::ffff:9.0.0.0/104'],
  })
  expect(rules.refusalOf('9.9.9.9')).toBeDefined()
  expect(rules.refusalOf('8.9.9.9')).toBeUndefined()
})

test.each([
  ['2130706433', true],
  ['0x7f.0.0.1', true],
  ['0x7f000001', true],
  ['0177.0.0.1', true],
  ['127.1', true],
  ['127.0.0.1.', true],
  ['127.0.0.1', false],
  ['::1', false],
  ['example.org', false],
  ['0x7f.example', false],
  ['1and1.com', false],
])('%s looks like an address in an odd spelling: %j', (host, odd) => {
  expect(isOddAddress(host)).toBe(odd)
})

const anyV4 = fc.ipV4()
const anyV6 = fc.ipV6()

/** Whether ours and Node's lists can be compared: not what is never dialled, nor IPv4 inside IPv6. */
function isPlain(address: string): boolean {
  if (isIPv4(address)) return !/^(?:0|22[4-9]|2[3-5]\d)\./.test(address)
  return !/^(?:ff|2002:|2001:0{1,4}:|2001::|64:ff9b:|::|0+:0+:0+:0+:)/.test(address) && !/:0{0,3}5efe:/i.test(address)
}

/** The first bytes of one address and the rest of another: random addresses are hardly ever in random networks. */
function near(address: string, base: string, keep: number): string {
  const [one, other] = [ipaddr.parse(address).toByteArray(), ipaddr.parse(base).toByteArray()]
  return ipaddr.fromByteArray(one.map((byte, index) => (index < keep ? (other[index] ?? byte) : byte))).toString()
}

function isInBlockList(address: string, base: string, bits: number): boolean {
  const list = new BlockList()
  const family = isIPv4(base) ? 'ipv4' : 'ipv6'
  list.addSubnet(base, bits, family)
  return list.check(address, family)
}

test.each([
  ['IPv4', anyV4, 32],
  ['IPv6', anyV6, 128],
] as const)('Plain %s addresses are in a network when Node’s block list says so', (_, addresses, longest) => {
  const bits = fc.integer({ min: 0, max: longest })
  const keep = fc.integer({ min: 0, max: longest / 8 })
  let inside = 0
  fc.assert(
    fc.property(addresses, addresses, bits, keep, (start, base, bits, keep) => {
      const address = near(start, base, keep)
      fc.pre(isPlain(address))
      const network = `${base}/${bits}`
      const rules = networkRules({ section: 's', allowedNetworks: everywhere, disallowedNetworks: [network] })
      const listed = isInBlockList(address, base, bits)
      if (listed) inside++
      expect(rules.refusalOf(address) !== undefined).toBe(listed)
    }),
    { numRuns: 2000 },
  )
  expect(inside).toBeGreaterThan(100)
})

const hex = (one: number, two: number) => ((one << 8) | two).toString(16)

/** All IPv6 addresses that hold an IPv4 address. */
function formsWith(v4: string): readonly string[] {
  const [a = 0, b = 0, c = 0, d = 0] = v4.split('.').map(Number)
  const [high, low] = [hex(a, b), hex(c, d)]
  const [notHigh, notLow] = [hex(a ^ 255, b ^ 255), hex(c ^ 255, d ^ 255)]
  const usual = [`::ffff:${v4}`, `::ffff:0:${v4}`, `64:ff9b::${v4}`, `2002:${high}:${low}::1`]
  return [v4, ...usual, `2001:0:808:808:0:0:${notHigh}:${notLow}`, `2606:4700::5efe:${high}:${low}`]
}

const UNWANTED = ['private', 'loopback', 'linkLocal', 'carrierGradeNat', 'unspecified', 'multicast', 'broadcast']

test('What ipaddr.js calls private, local or no single machine is forbidden, in each form that holds it', () => {
  fc.assert(
    fc.property(fc.oneof(anyV4, fc.constantFrom('10.0.0.1', '127.9.9.9', '192.168.3.4', '100.99.0.1')), (v4) => {
      fc.pre(UNWANTED.includes(ipaddr.IPv4.parse(v4).range()))
      for (const form of formsWith(v4)) expect([form, usual.refusalOf(form)]).toEqual([form, expect.any(String)])
    }),
    { numRuns: 1000 },
  )
})
