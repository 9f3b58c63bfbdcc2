/** What a user may store; 0 or less: no limit. */
export interface Quota {
  readonly maxBytes: number
  readonly maxFiles: number
}

interface QuotaOptions {
  readonly quotas: {
    readonly enabled: boolean
    readonly users: readonly (Quota & { readonly glob: string })[]
  }
}

const NONE: Quota = { maxBytes: 0, maxFiles: 0 }

/** The first of `uploads.quotas.users` whose glob matches the user; only `*` is special (MMR behaviour). */
export function quotaFor({ quotas }: QuotaOptions, userId: string): Quota {
  if (!quotas.enabled) return NONE
  return quotas.users.find(({ glob }) => matchesGlob(glob, userId)) ?? NONE
}

function matchesGlob(glob: string, text: string): boolean {
  const [first = '', ...rest] = glob.split('*')
  if (rest.length === 0) return glob === text
  if (!text.startsWith(first)) return false
  let position = first.length
  const last = rest.pop() ?? ''
  for (const part of rest) {
    const found = text.indexOf(part, position)
    if (found < 0) return false
    position = found + part.length
  }
  return text.length - last.length >= position && text.endsWith(last)
}
