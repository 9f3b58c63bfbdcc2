import { absolute } from './addresses.ts'
import { present } from './drafts.ts'
import type { Facts } from './facts.ts'
import type { Draft } from './preview.ts'

/** What a page says for cards of Twitter, now X. Its `twitter:site` is an account, not the name of a site. */
export function twitterCards(page: Facts): Draft {
  const first = (...names: string[]): string | undefined => {
    return page.metas.find((meta) => names.includes(meta.name))?.content
  }
  const url = absolute(first('twitter:image', 'twitter:image:src', 'twitter:image0'), page.base)
  const alt = first('twitter:image:alt')
  return present({
    title: first('twitter:title'),
    description: first('twitter:description'),
    pictures: url && [{ url, ...(alt ? { alt } : {}) }],
  })
}
