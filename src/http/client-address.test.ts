import { expect, test } from 'vitest'
import { callerBlock } from '../lib/addresses.ts'
import { clientAddress } from './client-address.ts'

test.each(['8.8.8.8', '::ffff:8.8.8.8', '2606:4700::1', '2002:808:808::1', '2001:0:808:808::1', '192.88.99.1'])(
  'A connection from %s is no reverse proxy: what it says of others does not count',
  (peer) => {
    expect(clientAddress(peer, '9.9.9.9', false)).toBe(peer.replace('::ffff:', ''))
  },
)

test.each([
  '127.0.0.1',
  '::1',
  '::ffff:10.0.0.1',
  '192.168.1.1',
  '172.16.0.1',
  '100.64.0.1',
  'fd00::1',
  'fe80::1%eth0',
])('A connection from %s may be one', (peer) => {
  expect(clientAddress(peer, '7.7.7.7, 9.9.9.9', false)).toBe('9.9.9.9')
  expect(clientAddress(peer, '7.7.7.7, 2002:808:808::1', false)).toBe('2002:808:808::1')
})

test.each([
  ['8.8.8.8', '8.8.8.8'],
  ['::ffff:8.8.8.8', '8.8.8.8'],
  ['2606:4700:1:2:3:4:5:6', '2606:4700:1:2::/64'],
  ['2606:4700:1:2::', '2606:4700:1:2::/64'],
  ['::1', '::/64'],
  ['fe80::1%eth0', 'fe80::/64'],
  ['', ''],
  ['unix socket', 'unix socket'],
])('For limits %s is %s', (address, block) => {
  expect(callerBlock(address)).toBe(block)
})
