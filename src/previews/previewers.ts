import { mergeDrafts } from './drafts.ts'
import type { Facts } from './facts.ts'
import { jsonLd } from './json-ld.ts'
import { openGraph } from './open-graph.ts'
import { plainHtml } from './plain-html.ts'
import type { Draft } from './preview.ts'
import { twitterCards } from './twitter-cards.ts'

/** How a preview came about, as the metric `media_url_previews_generated_total` calls it. */
export type PreviewType = 'oembed' | 'opengraph' | 'calculated'

/** Finds what a page says in one way. */
export type Previewer = (page: Facts) => Draft

/**
 * The ways in which pages tell about themselves: what the first says counts, the others fill in. A new one is one file and one
 * line here. What is not read from a page (oEmbed, files) gives a `Draft` as well, for `mergeDrafts`.
 */
export const previewers: Readonly<Record<string, Previewer>> = { openGraph, twitterCards, jsonLd, plainHtml }

/** Everything that a page says about itself. */
export function previewPage(page: Facts): Draft {
  return mergeDrafts(Object.values(previewers).map((previewer) => previewer(page)))
}
