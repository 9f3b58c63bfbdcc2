import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { textThat } from './option.ts'

/** A list of networks such as 10.0.0.0/8 or fc00::/7. */
export function networks() {
  return z.array(textThat(isNetwork, 'a network like 10.0.0.0/8 or fc00::/7 (a single address: /32 or /128)'))
}

/** MMR's, and what it forgot: fe80 is a /10, fec0 was for sites; benchmarks, protocol assignments. */
export const PRIVATE_NETWORKS = [
  '0.0.0.0/8',
  '127.0.0.1/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '198.18.0.0/15',
  '::1/128',
  'fe80::/10',
  'fec0::/10',
  'fc00::/7',
]

function isNetwork(value: string): boolean {
  // ipaddr.js alone would take 10/8, and read 0.0.0.10/8 in it.
  if (isIP(value.split('/', 1)[0] ?? '') === 0 || !ipaddr.isValidCIDR(value)) return false
  // IPv4 addresses are looked at as what they are: ::ffff:10.0.0.0/8 would hold none of them.
  const [address, bits] = ipaddr.parseCIDR(value)
  return !(address instanceof ipaddr.IPv6) || !address.isIPv4MappedAddress() || bits >= 96
}
