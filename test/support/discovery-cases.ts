/** Every way in which a server can be found: the steps of the specification, "Resolving server names". */
import type { Entry } from './dns-server.ts'
import { delegating, type Handler } from './small-internet.ts'

export interface Case {
  readonly title: string
  readonly server: string
  readonly dns?: Readonly<Record<string, Entry>>
  /** What answers at the well-known address of the server, at 203.0.113.80. */
  readonly wellKnown?: Handler
  /** Where the server listens, and with which certificate. */
  readonly at: string
  readonly port: number
  readonly cert: string
  readonly host: string
}

export const SERVER = '203.0.113.10'
export const WEB = '203.0.113.80'
export const web = { A: [WEB] }
export const here = { A: [SERVER] }
export const srv = (target: string, port = 4444) => ({ SRV: [{ target, port }] })

export const cases: readonly Case[] = [
  { title: '1: an address', server: SERVER, at: SERVER, port: 8448, cert: SERVER, host: SERVER },
  {
    title: '1: an address and port',
    server: `${SERVER}:999`,
    at: SERVER,
    port: 999,
    cert: SERVER,
    host: `${SERVER}:999`,
  },
  {
    title: '1: an IPv6 address',
    server: '[2001:db8::5]',
    at: '2001:db8::5',
    port: 8448,
    cert: '2001:db8::5',
    host: '[2001:db8::5]',
  },
  {
    title: '1: an IPv6 address and port',
    server: '[2001:db8::5]:999',
    at: '2001:db8::5',
    port: 999,
    cert: '2001:db8::5',
    host: '[2001:db8::5]:999',
  },
  {
    title: '2: a name and port',
    server: 's2.test:999',
    dns: { 's2.test': here },
    at: SERVER,
    port: 999,
    cert: 's2.test',
    host: 's2.test:999',
  },
  {
    title: '2: a name and port, by an alias',
    server: 's2c.test:999',
    dns: { 's2c.test': { CNAME: 'real.test' }, 'real.test': here },
    at: SERVER,
    port: 999,
    cert: 's2c.test',
    host: 's2c.test:999',
  },
  {
    title: '2: the port 443',
    server: 's2p.test:443',
    dns: { 's2p.test': here },
    at: SERVER,
    port: 443,
    cert: 's2p.test',
    host: 's2p.test:443',
  },
  {
    title: '3.1: delegated to an address',
    server: 's31.test',
    dns: { 's31.test': web },
    wellKnown: delegating(SERVER),
    at: SERVER,
    port: 8448,
    cert: SERVER,
    host: SERVER,
  },
  {
    title: '3.1: delegated to an address and port',
    server: 's31p.test',
    dns: { 's31p.test': web },
    wellKnown: delegating(`${SERVER}:999`),
    at: SERVER,
    port: 999,
    cert: SERVER,
    host: `${SERVER}:999`,
  },
  {
    title: '3.1: delegated to an IPv6 address',
    server: 's316.test',
    dns: { 's316.test': web },
    wellKnown: delegating('[2001:db8::5]:999'),
    at: '2001:db8::5',
    port: 999,
    cert: '2001:db8::5',
    host: '[2001:db8::5]:999',
  },
  {
    title: '3.2: delegated to a name and port',
    server: 's32.test',
    dns: { 's32.test': web, 'd.test': here },
    wellKnown: delegating('d.test:999'),
    at: SERVER,
    port: 999,
    cert: 'd.test',
    host: 'd.test:999',
  },
  {
    title: '3.3: delegated to a name with SRV',
    server: 's33.test',
    dns: { 's33.test': web, '_matrix-fed._tcp.d33.test': srv('t.test'), 't.test': here },
    wellKnown: delegating('d33.test'),
    at: SERVER,
    port: 4444,
    cert: 'd33.test',
    host: 'd33.test',
  },
  {
    title: '3.4: delegated to a name with the old SRV',
    server: 's34.test',
    dns: { 's34.test': web, '_matrix._tcp.d34.test': srv('t.test'), 't.test': here },
    wellKnown: delegating('d34.test'),
    at: SERVER,
    port: 4444,
    cert: 'd34.test',
    host: 'd34.test',
  },
  {
    title: '3.5: delegated to a name',
    server: 's35.test',
    dns: { 's35.test': web, 'd35.test': here },
    wellKnown: delegating('d35.test'),
    at: SERVER,
    port: 8448,
    cert: 'd35.test',
    host: 'd35.test',
  },
  {
    title: '3.5: delegated to a name in another alphabet',
    server: 's35i.test',
    dns: { 's35i.test': web, 'xn--bcher-kva.test': here },
    wellKnown: delegating('bücher.test'),
    at: SERVER,
    port: 8448,
    cert: 'xn--bcher-kva.test',
    host: 'xn--bcher-kva.test',
  },
  {
    title: '4: SRV',
    server: 's4.test',
    dns: { '_matrix-fed._tcp.s4.test': srv('t.test'), 't.test': here },
    at: SERVER,
    port: 4444,
    cert: 's4.test',
    host: 's4.test',
  },
  {
    title: '4: SRV to an alias',
    server: 's4c.test',
    dns: { '_matrix-fed._tcp.s4c.test': srv('t.test'), 't.test': { CNAME: 'real.test' }, 'real.test': here },
    at: SERVER,
    port: 4444,
    cert: 's4c.test',
    host: 's4c.test',
  },
  {
    title: '4: SRV before the old SRV',
    server: 's4b.test',
    dns: {
      '_matrix-fed._tcp.s4b.test': srv('t.test', 4444),
      '_matrix._tcp.s4b.test': srv('t.test', 5555),
      't.test': here,
    },
    at: SERVER,
    port: 4444,
    cert: 's4b.test',
    host: 's4b.test',
  },
  {
    title: '5: the old SRV',
    server: 's5.test',
    dns: { '_matrix._tcp.s5.test': srv('t.test'), 't.test': here },
    at: SERVER,
    port: 4444,
    cert: 's5.test',
    host: 's5.test',
  },
  {
    title: '6: a name',
    server: 's6.test',
    dns: { 's6.test': here },
    at: SERVER,
    port: 8448,
    cert: 's6.test',
    host: 's6.test',
  },
  {
    title: '6: a name with IPv6 only',
    server: 's66.test',
    dns: { 's66.test': { AAAA: ['2001:db8::5'] } },
    at: '2001:db8::5',
    port: 8448,
    cert: 's66.test',
    host: 's66.test',
  },
  {
    title: '6: a name in another alphabet',
    server: 'münchen.test',
    dns: { 'xn--mnchen-3ya.test': here },
    at: SERVER,
    port: 8448,
    cert: 'xn--mnchen-3ya.test',
    host: 'xn--mnchen-3ya.test',
  },
]
