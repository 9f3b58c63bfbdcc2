/** An address as browsers would go to it, of pages, or of pictures that stand in the page; undefined for all others. */
export function absolute(address: string | undefined, base: URL): URL | undefined {
  const url = address === undefined ? null : URL.parse(address, base.href)
  if (url?.protocol === 'data:') return /^image\//i.test(url.pathname) ? url : undefined
  return url?.protocol === 'http:' || url?.protocol === 'https:' ? url : undefined
}

/** The same, of pages only. */
export function pageAddress(address: string | undefined, base: URL): URL | undefined {
  const url = absolute(address, base)
  return url?.protocol === 'data:' ? undefined : url
}

/** A width or height as pages write it: `640`, `640px`; nothing for `100%`. */
export function pixels(text: string | undefined): number | undefined {
  const found = /^\s*(\d{1,6})(?:\.\d{1,9})?\s*(?:px)?\s*$/i.exec(text ?? '')?.[1]
  return found === undefined ? undefined : Number(found)
}
