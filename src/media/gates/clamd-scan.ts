import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'

export interface ScanOptions {
  /** The path of a socket, or host:port. */
  readonly address: string
  /** For all of it, in ms. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

export type ScanResult =
  | { readonly outcome: 'clean' }
  /** The name of what was found. */
  | { readonly outcome: 'found'; readonly what: string }
  /** clamd would not take all of it. */
  | { readonly outcome: 'too_large' }

const CHUNK_BYTES = 64 * 1024
const LENGTH_BYTES = 4
const LONGEST_ANSWER = 4096
const ATTEMPTS = 5

/**
 * Has clamd scan a file, which is sent in chunks through one buffer. Source: clamd(8), INSTREAM.
 *
 * @throws {Error} when clamd gives no answer in time, or one that says nothing of the file
 */
export async function scan(path: string, options: ScanOptions): Promise<ScanResult> {
  const late = AbortSignal.timeout(Math.ceil(options.timeoutMs))
  for (let attempt = 1; ; attempt++) {
    try {
      return await scanOnce(path, options, late)
    } catch (error) {
      // It may have answered before it hung up: a write that fails takes the connection away before that is read.
      const mayHaveAnswered = ['EPIPE', 'ECONNRESET'].includes((error as NodeJS.ErrnoException).code ?? '')
      if (!mayHaveAnswered || attempt === ATTEMPTS) throw error
    }
  }
}

async function scanOnce(
  path: string,
  { address, timeoutMs, signal }: ScanOptions,
  late: AbortSignal,
): Promise<ScanResult> {
  const socket = connect({ ...placeOf(address), allowHalfOpen: true })
  const until = AbortSignal.any([signal, late])
  const stop = () => void socket.destroy(reasonOf(signal, timeoutMs))
  until.addEventListener('abort', stop)
  // Whoever waits for something of it hears of its errors; after that nobody cares.
  socket.on('error', () => {})
  try {
    const answer = answerOf(socket)
    answer.catch(() => {})
    // What it says while it is still sent to is its last word: it hangs up on what it will not take.
    const broken = await send(socket, path).then(
      () => undefined,
      (error: unknown) => ({ error }),
    )
    return resultOf(await answer.catch((error: unknown) => fail(broken?.error ?? error, signal, late, timeoutMs)))
  } finally {
    until.removeEventListener('abort', stop)
    socket.destroy()
  }
}

function placeOf(address: string): { readonly path: string } | { readonly host: string; readonly port: number } {
  if (address.startsWith('/')) return { path: address }
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) }
}

async function send(socket: Socket, path: string): Promise<void> {
  if (socket.connecting) await once(socket, 'connect')
  await write(socket, Buffer.from('zINSTREAM\0'))
  await using file = await open(path)
  const buffer = Buffer.allocUnsafe(LENGTH_BYTES + CHUNK_BYTES)
  for (;;) {
    const { bytesRead } = await file.read(buffer, LENGTH_BYTES, CHUNK_BYTES)
    buffer.writeUInt32BE(bytesRead)
    // Of nothing, the length alone: the end.
    await write(socket, buffer.subarray(0, LENGTH_BYTES + bytesRead))
    if (bytesRead === 0) return
  }
}

/** Resolves when the buffer may be used again. */
function write(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(socket.errored ?? new Error('clamd has hung up'))
    if (socket.destroyed) return onClose()
    socket.once('close', onClose)
    socket.write(bytes, (error) => {
      socket.off('close', onClose)
      if (error) reject(error)
      else resolve()
    })
  })
}

/** Its one answer, which ends with a zero byte, or with the connection. */
function answerOf(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const end = () =>
      text === '' ? reject(socket.errored ?? new Error('clamd has hung up without an answer')) : resolve(text)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const zero = text.indexOf('\0')
      if (zero >= 0) resolve(text.slice(0, zero))
      else if (text.length > LONGEST_ANSWER) reject(new Error(`clamd answered more than ${LONGEST_ANSWER} bytes`))
    })
    socket.once('end', end)
    socket.once('close', end)
  })
}

function resultOf(answer: string): ScanResult {
  const text = answer.trim()
  if (text === 'stream: OK') return { outcome: 'clean' }
  const [, what] = /^stream: (.+) FOUND$/.exec(text) ?? []
  if (what !== undefined) return { outcome: 'found', what }
  if (/size limit exceeded/i.test(text)) return { outcome: 'too_large' }
  throw new Error(`clamd answered ${JSON.stringify(text.slice(0, 200))}`)
}

function reasonOf(signal: AbortSignal, timeoutMs: number): Error {
  if (signal.aborted && signal.reason instanceof Error) return signal.reason
  return new Error(`clamd gave no answer within ${timeoutMs} ms`)
}

function fail(error: unknown, signal: AbortSignal, late: AbortSignal, timeoutMs: number): never {
  if (signal.aborted || late.aborted) throw reasonOf(signal, timeoutMs)
  throw error
}
