/** How Synapse's lists are asked for page by page, and where the next one begins. */
import { oneOf, whole } from '../parameters.ts'

/** Rows of a page at most, so that an answer stays small: whoever asks for more finds `next_token` in it. */
const LARGEST_PAGE = 1000

export const paging = {
  from: whole({ description: 'How many to pass over.', fallback: 0 }),
  limit: whole({ description: `How many to give; more than ${LARGEST_PAGE} count as ${LARGEST_PAGE}.`, fallback: 100 }),
}

export const direction = {
  dir: oneOf(['f', 'b'], { description: 'Forwards or backwards.', fallback: null }),
}

export interface Paging {
  readonly from: number
  readonly limit: number
}

export const pageOf = ({ from, limit }: Paging) => ({ offset: from, limit: Math.min(limit, LARGEST_PAGE) })

/** Where the next page begins: in the answer only if there is one. */
export function nextToken(offset: number, rows: readonly unknown[], total: number): { readonly next_token?: number } {
  const next = offset + rows.length
  return next < total ? { next_token: next } : {}
}
