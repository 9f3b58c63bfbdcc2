import { isTopic, type Topic } from './notifier.ts'

/** What travels between instances: a message, or what the instances need to know of each other. */
export type Envelope = { readonly from: string } & (
  | { readonly kind: 'told' | 'asked'; readonly id: string; readonly topic: Topic; readonly message: string }
  /** `from` has handled what was asked with this id. */
  | { readonly kind: 'handled'; readonly id: string }
  /** `from` lives. */
  | { readonly kind: 'beat'; readonly count: number }
  | { readonly kind: 'goodbye' }
)

/** PostgreSQL takes 7,999 bytes. */
export const LARGEST_BYTES = 7900

/**
 * The text of an envelope. A message too large for it becomes `missed`, which means more: that whatever is kept may be wrong.
 */
export function writeEnvelope(envelope: Envelope): string {
  const text = JSON.stringify(envelope)
  if (Buffer.byteLength(text) <= LARGEST_BYTES || !('topic' in envelope)) return text
  return JSON.stringify({ ...envelope, topic: 'missed', message: '' })
}

/** The envelope that a text is, or undefined when it is none: other versions, and a broken Redis, may say anything. */
export function readEnvelope(text: string): Envelope | undefined {
  const value = parse(text)
  if (typeof value !== 'object' || value === null) return undefined
  const { from, kind, id, topic, message, count } = value as Record<string, unknown>
  if (typeof from !== 'string') return undefined
  if (kind === 'goodbye') return { from, kind }
  if (kind === 'beat') return typeof count === 'number' ? { from, kind, count } : undefined
  if (typeof id !== 'string') return undefined
  if (kind === 'handled') return { from, kind, id }
  if (kind !== 'told' && kind !== 'asked') return undefined
  if (typeof message !== 'string') return undefined
  // What a newer version has a word for may be just what this one should know.
  return isTopic(topic) ? { from, kind, id, topic, message } : { from, kind, id, topic: 'missed', message: '' }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
