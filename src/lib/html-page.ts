import { createHash } from 'node:crypto'
import { escapeUTF8 } from 'entities'

/**
 * Pages for people: one look, light or dark as their browser is, on screens of any width, without scripts and without anything from
 * elsewhere. Colours are the browser's own where it can be: they suit each other.
 */
const STYLE = `:root{color-scheme:light dark;background:Canvas;color:CanvasText}
body{font:100%/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.2rem;margin-top:2rem}
small{color:GrayText;color:light-dark(#555,#aaa);display:block}nav{margin:1rem 0}nav a{margin-right:1rem}
.media{list-style:none;padding:0}.media li{align-items:center;border-top:1px solid light-dark(#ccc,#444);display:flex;gap:1rem;padding:.4rem 0}
.picture{flex:0 0 8rem}.picture img{display:block;height:6rem;object-fit:scale-down;width:100%}
summary{cursor:pointer;width:max-content;max-width:100%}button{font:inherit;padding:.3rem .8rem}
@media (max-width:32rem){body{margin:1rem auto}.picture{flex-basis:4rem}.picture img{height:4rem}.media li{gap:.6rem}}`
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/** The `Content-Security-Policy` of our pages, as far as they are alike: their own style and pictures, and nothing else. */
export const PAGE_POLICY = `default-src 'none'; img-src 'self' data:; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'`

export interface PageTitle {
  readonly title: string
  /** Whose page it is: stands behind the title, and may be anything that a stranger thought of. */
  readonly of?: string
  /** For pages that no server sends: the policy has to stand in the page itself. */
  readonly policy?: string
}

/** The beginning of a page, up to its heading; its end is `PAGE_TAIL`. */
export function pageHead({ title, of, policy }: PageTitle): string {
  const [whole, heading] = of === undefined ? [title, title] : [`${title} ${escaped(of)}`, `${title} ${shownName(of)}`]
  const meta = policy === undefined ? '' : `<meta http-equiv="Content-Security-Policy" content="${policy}">`
  // An icon that is none: browsers would ask the server for one, in vain.
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">${meta}<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><title>${whole}</title><style>${STYLE}</style></head><body><main>
<h1>${heading}</h1>
`
}

export const PAGE_TAIL = '</main></body></html>\n'

/** Control characters, and marks that turn around what stands behind them: `photo` + U+202E + `gpj.exe` reads as `photoexe.jpg`. */
const TURNING = /[\p{Cc}\u202A-\u202E\u2066-\u2069]/gu

const escaped = (text: string) => escapeUTF8(text.replaceAll(TURNING, '\u{FFFD}'))

/** A text that a stranger wrote, as text: in HTML, in its own direction, which is not that of what stands beside it. */
export const shownName = (text: string): string => `<bdi>${escaped(text)}</bdi>`

/** `2026-01-31 12:59 UTC`, in HTML. `ms` since 1970. */
export function shownTime(ms: number): string {
  const iso = new Date(ms).toISOString()
  return `<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`
}
