import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Answer, JsonAnswer, PageAnswer } from './answers.ts'
import type { Call } from './call.ts'
import { COMMON_HEADERS, withPolicy } from './headers.ts'
import { sendFile } from './send-file.ts'
import { sendGrowing } from './send-growing.ts'
import { sendMixed } from './send-mixed.ts'

/** Sends an answer; resolves when it is handed to the socket. */
export function respond(call: Call, answer: Answer, connection: readonly string[]): Promise<void> {
  if (answer.kind === 'file') return sendFile(call, answer, connection)
  if (answer.kind === 'growing') return sendGrowing(call, answer, connection)
  if (answer.kind === 'mixed') return sendMixed(call, answer, connection)
  if (answer.kind === 'page') return sendPage(call, answer, connection)
  return sendJson(call, answer, connection)
}

/** Pages are few and small. Theirs is a policy of its own: the usual one forbids forms. */
export async function sendPage(
  { response, turn }: Pick<Call, 'response' | 'turn'>,
  { status = 200, html, policy, headers = [] }: PageAnswer,
  connection: readonly string[],
): Promise<void> {
  const body = Buffer.from(html)
  await turn.wait()
  response.writeHead(status, [
    ...connection,
    ...withPolicy(policy),
    'Content-Type',
    'text/html; charset=UTF-8',
    'Content-Length',
    String(body.length),
    'Cache-Control',
    'no-store',
    ...headers,
  ])
  response.end(body)
}

const SMALL_REST = 64 * 1024
const LINGER_MS = 5000

/**
 * Sends a JSON answer. Where the client is still sending a body that nobody will read, the connection is closed cleanly: the
 * whole answer is sent at once, and what comes is thrown away for a moment, because closing on unread data would reset the
 * connection and the client might never see the answer.
 */
export async function sendJson(
  { request, response, turn }: Pick<Call, 'request' | 'response' | 'turn'>,
  { status, body, headers = [] }: JsonAnswer,
  connection: readonly string[],
): Promise<void> {
  const text = JSON.stringify(body)
  await turn.wait()
  const unread = bodyIsLeft(request)
  response.writeHead(status, [
    ...connection,
    ...(unread ? ['Connection', 'close'] : []),
    ...COMMON_HEADERS,
    'Content-Type',
    'application/json',
    'Content-Length',
    String(Buffer.byteLength(text)),
    ...headers,
  ])
  if (!unread) {
    response.end(text)
    return
  }
  response.write(text)
  await discard(request)
  response.end()
}

/** Answers OPTIONS on any path, without a look at anything else. Source: specification, "Web browser clients". */
export function sendOptions(response: ServerResponse, connection: readonly string[]): void {
  response.writeHead(204, [...connection, ...COMMON_HEADERS])
  response.end()
}

/** Whether more of a body may come than is worth reading to keep the connection. */
function bodyIsLeft(request: IncomingMessage): boolean {
  if (request.complete) return false
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers
  return encoding !== undefined || Number(length ?? 0) > SMALL_REST
}

async function discard(request: IncomingMessage): Promise<void> {
  const done = Promise.withResolvers<void>()
  request.once('close', done.resolve)
  request.once('end', done.resolve)
  request.resume()
  const stop = new AbortController()
  const timer = delay(LINGER_MS, undefined, { signal: stop.signal }).catch(() => {})
  await Promise.race([done.promise, timer])
  stop.abort()
}
