/** A DNS server of our own for tests: the records that a test sets, and every way in which a DNS server can fail. */
import { Buffer } from 'node:buffer'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

export interface Srv {
  readonly target: string
  readonly port: number
  readonly priority?: number
  readonly weight?: number
}

export interface Records {
  readonly A?: readonly string[]
  readonly AAAA?: readonly string[]
  readonly SRV?: readonly Srv[]
  /** Whatever is asked for is answered with this alias, and with what the alias has. */
  readonly CNAME?: string
}

/** What becomes of a question: records, a failure, or nothing at all. */
export type Entry = Records | 'SERVFAIL' | 'REFUSED' | 'silence'

export interface DnsServer extends AsyncDisposable {
  /** `address:port`, for `Resolver.setServers`. */
  readonly address: string
  /** Every question so far, as `A example.org`. */
  readonly questions: readonly string[]
  /** Names that are not set do not exist (NXDOMAIN). A function is asked anew for each question: for names that move. */
  set(name: string, entry: Entry | ((type: string) => Entry)): void
}

const TYPES: Readonly<Record<number, string>> = { 1: 'A', 5: 'CNAME', 28: 'AAAA', 33: 'SRV' }
const CODES: Readonly<Record<string, number>> = { A: 1, CNAME: 5, AAAA: 28, SRV: 33 }
const FAILURES = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 }
const INTERNET = 1
const SECONDS_TO_LIVE = 60
const HEADER = 12

/** Starts it on a free UDP port of 127.0.0.1. */
export async function startDns(): Promise<DnsServer> {
  const entries = new Map<string, Entry | ((type: string) => Entry)>()
  const questions: string[] = []
  const entryOf = (name: string, type: string): Entry | undefined => {
    const entry = entries.get(name)
    return typeof entry === 'function' ? entry(type) : entry
  }
  const socket = createSocket('udp4')
  socket.on('message', (query, client) => {
    const { name, type } = readQuestion(query)
    questions.push(`${type} ${name}`)
    const answer = answerTo(query, { name, type }, entryOf)
    if (answer) socket.send(answer, client.port, client.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    questions,
    set: (name, entry) => void entries.set(name.toLowerCase(), entry),
    [Symbol.asyncDispose]: async () => {
      socket.close()
      await once(socket, 'close')
    },
  }
}

interface Question {
  readonly name: string
  readonly type: string
}

function answerTo(
  query: Buffer,
  question: Question,
  entryOf: (name: string, type: string) => Entry | undefined,
): Buffer | undefined {
  const entry = entryOf(question.name, question.type)
  if (entry === 'silence') return undefined
  if (entry === undefined) return message(query, 'NXDOMAIN', [])
  if (typeof entry === 'string') return message(query, entry, [])
  const chain: Buffer[] = []
  let [name, records]: [string, Records] = [question.name, entry]
  for (let links = 0; records.CNAME !== undefined && links < 8; links++) {
    chain.push(record(name, 'CNAME', encodeName(records.CNAME)))
    if (question.type === 'CNAME') return message(query, 'NOERROR', chain)
    const next = entryOf(records.CNAME, question.type)
    ;[name, records] = [records.CNAME, typeof next === 'object' ? next : {}]
  }
  return message(query, 'NOERROR', [
    ...chain,
    ...dataOf(records, question.type).map((data) => record(name, question.type, data)),
  ])
}

function dataOf(records: Records, type: string): readonly Buffer[] {
  if (type === 'SRV') return (records.SRV ?? []).map(encodeSrv)
  if (type === 'A' || type === 'AAAA') return (records[type] ?? []).map(encodeAddress)
  return []
}

function encodeAddress(address: string): Buffer {
  // An IPv4-mapped address is 16 bytes here, as in an AAAA record that somebody made up.
  return Buffer.from(isIPv6(address) ? ipaddr.IPv6.parse(address).toByteArray() : ipaddr.parse(address).toByteArray())
}

function encodeSrv({ target, port, priority = 0, weight = 0 }: Srv): Buffer {
  const numbers = Buffer.alloc(6)
  numbers.writeUInt16BE(priority, 0)
  numbers.writeUInt16BE(weight, 2)
  numbers.writeUInt16BE(port, 4)
  return Buffer.concat([numbers, encodeName(target)])
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '')
  return Buffer.concat([...labels.map((label) => Buffer.from([label.length, ...Buffer.from(label)])), Buffer.from([0])])
}

function record(name: string, type: string, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(CODES[type] ?? 0, 0)
  fixed.writeUInt16BE(INTERNET, 2)
  fixed.writeUInt32BE(SECONDS_TO_LIVE, 4)
  fixed.writeUInt16BE(data.length, 8)
  return Buffer.concat([encodeName(name), fixed, data])
}

function readQuestion(query: Buffer): Question & { readonly end: number } {
  const labels: string[] = []
  let at = HEADER
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: TYPES[query.readUInt16BE(at + 1)] ?? 'other', end: at + 5 }
}

/** The question's header and text again, and the records. */
function message(query: Buffer, outcome: keyof typeof FAILURES, records: readonly Buffer[]): Buffer {
  const { end } = readQuestion(query)
  const header = Buffer.from(query.subarray(0, HEADER))
  // An answer, authoritative, by a server that recurses.
  header.writeUInt16BE(0x8580 | FAILURES[outcome], 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records.length, 6)
  header.writeUInt32BE(0, 8)
  return Buffer.concat([header, query.subarray(HEADER, end), ...records])
}
