import { Refused } from '../lib/errors.ts'
import type { Call } from './call.ts'

const MOST_BYTES = 64 * 1024

/**
 * The JSON object that a request brings along; whatever its `Content-Type` says, as clients differ in that.
 *
 * @throws {Refused} `bad_request` when it is none; `too_large`
 */
export async function jsonBody(call: Pick<Call, 'body'>): Promise<Readonly<Record<string, unknown>>> {
  const decoder = new TextDecoder()
  let [text, size] = ['', 0]
  for await (const chunk of call.body()) {
    size += chunk.length
    if (size > MOST_BYTES) throw new Refused('too_large', `the body may have ${MOST_BYTES} bytes at most`)
    text += decoder.decode(chunk, { stream: true })
  }
  return objectIn(text + decoder.decode())
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch (cause) {
    throw new Refused('bad_request', 'the body is not JSON', { cause })
  }
  throw new Refused('bad_request', 'the body must be a JSON object')
}
