import type { Source } from './preview.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/**
 * How long a preview is answered without another look at the page, in ms: an hour, or as long as the site says that its page keeps,
 * up to a day. Less than an hour is not for previews: a chat with an address in it would fetch it with every new reader.
 */
export function freshForMs({ headers }: Pick<Source, 'headers'>): number {
  const directives = textOf(headers['cache-control']).toLowerCase()
  const maxAge = /(?:^|[\s,])(?:s-maxage|max-age)="?(\d{1,10})/.exec(directives)?.[1]
  if (maxAge === undefined || /no-store|no-cache|private/.test(directives)) return HOUR_MS
  const age = Number(/^\d{1,10}/.exec(textOf(headers['age']))?.[0] ?? 0)
  return Math.min(DAY_MS, Math.max(HOUR_MS, (Number(maxAge) - age) * 1000))
}

function textOf(header: string | readonly string[] | undefined): string {
  return typeof header === 'string' ? header : (header ?? []).join(',')
}
