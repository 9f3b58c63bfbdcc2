import { matchesGlob } from '../lib/glob.ts'

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
