import type { Charset } from './charset.ts'

/** What one address of the local web answers. Written for the tests, after the shapes of real sites. */
export interface Page {
  /** Host, path and query: `news.test/today?page=2`. */
  readonly at: string
  /** What a person would send, where that is something else than `at`. */
  readonly asked?: string
  /** What kind of page it is, in a few words. */
  readonly like: string
  /** The Content-Type header; `text/html; charset=utf-8` if not given. */
  readonly type?: string
  readonly status?: number
  /** More headers. Addresses in them are written as in the body. */
  readonly headers?: Readonly<Record<string, string>>
  /** In text, addresses of the local web have no port: the server puts its own in. */
  readonly body: string | (() => Promise<Buffer>)
  /** How the text is written down; UTF-8 if not given. */
  readonly charset?: Charset
  /** What a preview of it has to be; not given for what is only a part of other pages. */
  readonly preview?: Preview
  /** There is no preview of it. */
  readonly hasNone?: true
}

/** In the place of a picture's address: no site has sent it as it is. It stood in a page, or was made of a file. */
export const MADE_HERE = 'made here'

/**
 * An answer of `preview_url`, without ports, and with the address that the picture came from in the place of `mxc://…`. Sizes of
 * pictures in bytes are not among it: the comparison with what the web sent says more.
 */
export type Preview = Readonly<Record<string, string | number | boolean | null>>
