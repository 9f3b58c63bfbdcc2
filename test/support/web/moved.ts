import type { Page } from './page.ts'

/** Addresses that lead elsewhere, and such that lead nowhere. */
export const moved: readonly Page[] = [
  {
    at: 'short.test/b',
    like: 'a short address: three redirects, each of another kind',
    status: 301,
    headers: { location: 'http://short.test/tracked?to=b' },
    body: '<a href="/">moved</a>',
    preview: {
      'og:title': 'The end of the chain',
      'og:description': 'Relative addresses are relative to where it ended.',
      'og:image': 'http://target.test/final/near-320x240.png',
      'og:image:type': 'image/png',
      'og:image:width': 320,
      'og:image:height': 240,
    },
  },
  { at: 'short.test/tracked?to=b', like: 'its second step', status: 302, headers: { location: '/again' }, body: '' },
  {
    at: 'short.test/again',
    like: 'its third step',
    status: 308,
    headers: { location: '//target.test/final/page' },
    body: '',
  },
  {
    at: 'target.test/final/page',
    like: 'where it ends',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The end of the chain</title>
<meta name="description" content="Relative addresses are relative to where it ended."><meta property="og:image" content="near-320x240.png"></head></html>`,
  },
  {
    at: 'old.test/start',
    like: 'a page that moves on by a meta element, after no time',
    body: `<html><head><meta http-equiv="refresh" content="0; url='http://target.test/final/page'"><title>Redirecting…</title></head><body><p>You are being redirected.</p></body></html>`,
    // Not followed, as Synapse does not: what leads people on says so in a header as well.
    preview: { 'og:title': 'Redirecting…', 'og:description': 'You are being redirected.' },
  },
  {
    at: 'circle.test/a',
    like: 'a circle of redirects',
    status: 302,
    headers: { location: '/b' },
    body: '',
    hasNone: true,
  },
  { at: 'circle.test/b', like: 'its other half', status: 302, headers: { location: '/a' }, body: '' },
  {
    at: 'gone.test/',
    like: 'a page that is not there, without tags',
    status: 404,
    body: '<title>404 Not Found</title><h1>Not Found</h1>',
    hasNone: true,
  },
  {
    at: 'down.test/',
    like: 'a site that is down',
    status: 503,
    body: '<title>Be right back</title><h1>Maintenance</h1>',
    hasNone: true,
  },
  { at: 'nothing.test/', like: 'an answer without content', status: 204, body: '', hasNone: true },
]
