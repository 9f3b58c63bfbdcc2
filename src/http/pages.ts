import { PAGE_POLICY, PAGE_TAIL, pageHead, type PageTitle } from '../lib/html-page.ts'
import { escapeUTF8 } from 'entities'
import type { JsonAnswer, PageAnswer } from './answers.ts'

/** Its forms ask nobody but us, and nobody may put it into a frame, to have a button pressed. */
const POLICY = `${PAGE_POLICY}; form-action 'self'; frame-ancestors 'none'`

/** A page for people. `body` is HTML. */
export const pageAnswer = (title: PageTitle, body: string): PageAnswer => ({
  kind: 'page',
  html: `${pageHead(title)}${body}${PAGE_TAIL}`,
  policy: POLICY,
})

const TITLES: Readonly<Record<number, string>> = {
  404: 'Not here',
  429: 'Too much at once',
}

/** A refusal, in words for whoever followed a link. */
export function refusalPage({ status, body, headers = [] }: JsonAnswer): PageAnswer {
  const { error } = body as { readonly error?: unknown }
  const title = TITLES[status] ?? 'This did not work'
  const said = typeof error === 'string' ? `<p>${escapeUTF8(error)}.</p>\n` : ''
  return { ...pageAnswer({ title }, said), status, headers }
}

/** `/`: whoever opens the server's address is told what answers there. */
export const welcomePage = (): PageAnswer =>
  pageAnswer(
    { title: 'Cellarium' },
    `<p>This is a Matrix media repository: it stores and serves the files that people send each other. Matrix clients and servers find it by
themselves, and there is nothing to do here.</p>
<p>For administrators: <a href="healthz">its health</a>, and <a href="_matrix/media/unstable/admin/openapi.json">the description of its API</a>.</p>
`,
  )
