import type { Draft, Picture } from './preview.ts'

const MOST_PICTURES = 5

/** A draft without what is not there. */
export function present(draft: Draft): Draft {
  return Object.fromEntries(Object.entries(draft).filter(([, value]) => value !== undefined && value !== ''))
}

/**
 * One draft of several: of each key the first that has it. Of pictures all, as a site's best may be gone: each address
 * once, at most five.
 */
export function mergeDrafts(drafts: readonly Draft[]): Draft {
  const backwards = drafts.map(present).toReversed()
  const merged: Draft = Object.assign({}, ...backwards)
  const more = new Map(backwards.flatMap((draft) => [...(draft.more ?? [])]))
  const pictures = new Map<string, Picture>()
  for (const picture of drafts.flatMap((draft) => draft.pictures ?? [])) {
    if (!pictures.has(picture.url.href)) pictures.set(picture.url.href, picture)
  }
  return { ...merged, pictures: [...pictures.values()].slice(0, MOST_PICTURES), more }
}
