import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { textThat } from './option.ts'

/** A list of networks such as 10.0.0.0/8 or fc00::/7. */
export function networks() {
  return z.array(textThat(isNetwork, 'a network like 10.0.0.0/8 or fc00::/7 (a single address: /32 or /128)'))
}

export const PRIVATE_NETWORKS = [
  '127.0.0.1/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
  '::1/128',
  'fe80::/64',
  'fc00::/7',
]

function isNetwork(value: string): boolean {
  return ipaddr.isValidCIDR(value)
}
