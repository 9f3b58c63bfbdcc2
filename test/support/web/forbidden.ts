/** What must not be reached: a listener on all addresses of this machine, every spelling of them, and every way to them. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Records } from '../dns-server.ts'
import type { Page } from './page.ts'
import { drawPicture } from './pictures.ts'

export interface ForbiddenSide extends AsyncDisposable {
  readonly port: number
  /** How many connections it was sent. */
  readonly connections: () => number
}

/** Listens on every IPv4 and IPv6 address of this machine, at one port, and counts who comes. */
export async function listenEverywhere(): Promise<ForbiddenSide> {
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<title>Secret</title>')
  })
  server.listen(0, '::')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the listener has no port')
  return {
    port: address.port,
    connections: () => connections,
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}

/** The loopback without one address of it, and what else is nobody's business, as `disallowedNetworks` has it. */
export const ALL_BUT_127_0_0_2: readonly string[] = [
  '127.0.0.0/31',
  '127.0.0.3/32',
  ...Array.from({ length: 22 }, (_, index) => networkBeside(30 - index)),
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '::1/128',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
]

/** Of the two halves of 127.0.0.0/(bits - 1), the one without 127.0.0.2. */
function networkBeside(bits: number): string {
  const start = 2 ** (32 - bits)
  return `127.${(start >> 16) & 255}.${(start >> 8) & 255}.${start & 255}/${bits}`
}

/** Hosts as they may stand in an address, all of which lead to the forbidden side, or would in some network. */
export const LITERALS: readonly string[] = [
  // IPv4, in every spelling that any program has ever understood
  '127.0.0.1',
  '127.0.0.3',
  '127.9.9.9',
  '127.255.255.254',
  '0.0.0.0',
  '2130706433',
  '017700000001',
  '0x7f000001',
  '0x7f.0.0.1',
  '0X7F.1',
  '0177.0.0.1',
  '127.1',
  '127.0.1',
  '127.000.000.001',
  '127.0.0.1.',
  '0',
  '127%2e0%2e0%2e1',
  '%31%32%37.0.0.1',
  '１２７.0.0.1',
  '①②⑦.⓪.⓪.①',
  '127。0。0。1',
  'user:secret@127.0.0.1',
  '169.254.169.254',
  '10.0.0.1',
  '192.168.1.1',
  '100.64.0.1',
  // IPv6, and IPv4 in it
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[0:0:0:0:0:ffff:7f00:1]',
  '[::127.0.0.1]',
  '[::ffff:0:127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b:1::127.0.0.1]',
  '[2002:7f00:1::]',
  '[2001:0:7f00:1::1]',
  '[2001:db8::5efe:127.0.0.1]',
  '[fe80::1]',
  '[fe80::1%25lo]',
  '[fc00::1]',
  '[fec0::1]',
  '[ff02::1]',
  // the machine's own names
  'localhost',
  'LOCALHOST.',
  'localhost..',
  'any.localhost',
  'ⓛocalhost',
]

/** Names of the DNS that lead there. */
export const INSIDE_NAMES: Readonly<Record<string, Records>> = {
  'v4.inside.test': { A: ['127.0.0.1'] },
  'v6.inside.test': { AAAA: ['::1'] },
  'mapped.inside.test': { AAAA: ['::ffff:127.0.0.1'] },
  'nat64.inside.test': { AAAA: ['64:ff9b::7f00:1'] },
  'both.inside.test': { A: ['10.0.0.1', '127.0.0.3'], AAAA: ['fd00::1', '::1'] },
  'zero.inside.test': { A: ['0.0.0.0'], AAAA: ['::'] },
  'alias.inside.test': { CNAME: 'v4.inside.test' },
}

/** One way to make a server that previews ask for an address: what the web has to answer for it, and what is asked for then. */
export interface WayIn {
  readonly name: string
  /** Pages at hosts of this way alone. `target` is the address; `at` a host for it, `way-12.test`. */
  readonly pages: (target: string, at: string) => readonly Page[]
  /** The page is previewed without what it points at; else there is no preview. */
  readonly keepsPage: boolean
  /** What a preview has when the target may be reached, and only then. */
  readonly gains: RegExp
}

const PICTURE = /"og:image":/
const html = (at: string, head: string, body = ''): Page => ({
  at: `${at}/`,
  like: 'a way in',
  body: `<!doctype html><html lang="en"><head><title>Outside</title><meta name="description" content="A page that is allowed.">${head}</head><body>${body}</body></html>`,
})
const picture = (
  name: string,
  head: (target: string) => string,
  body: (target: string) => string = () => '',
): WayIn => ({
  name,
  keepsPage: true,
  gains: PICTURE,
  pages: (target, at) => [html(at, head(`${target}/picture-640x480.png`), body(`${target}/picture-640x480.png`))],
})
const none = (): string => ''

/** All ways but the address itself. The target is `http://HOST:PORT`, and what is below it is to be had where it may be reached. */
export const WAYS_IN: readonly WayIn[] = [
  ...[301, 302, 303, 307, 308].map((status): WayIn => ({
    name: `a redirect (${status})`,
    keepsPage: false,
    gains: /"og:title":"Allowed"/,
    pages: (target, at) => [
      { at: `${at}/`, like: 'a way in', status, headers: { location: `${asHeader(target)}/allowed` }, body: '' },
    ],
  })),
  {
    name: 'the second of two redirects',
    keepsPage: false,
    gains: /"og:title":"Allowed"/,
    pages: (target, at) => [
      { at: `${at}/`, like: 'a way in', status: 302, headers: { location: '/next' }, body: '' },
      {
        at: `${at}/next`,
        like: 'its second step',
        status: 302,
        headers: { location: `${asHeader(target).replace('http:', '')}/allowed` },
        body: '',
      },
    ],
  },
  picture('og:image', (target) => `<meta property="og:image" content="${target}">`),
  picture('og:image:secure_url', (target) => `<meta property="og:image:secure_url" content="${target}">`),
  picture('twitter:image', (target) => `<meta name="twitter:image" content="${target}">`),
  picture(
    'JSON-LD',
    (target) => `<script type="application/ld+json">{"@type":"Product","name":"Outside","image":"${target}"}</script>`,
  ),
  picture('an icon', (target) => `<link rel="icon" sizes="192x192" href="${target}">`),
  picture(
    'a picture in the text',
    none,
    (target) => `<main><img width="640" height="480" alt="" src="${target}"></main>`,
  ),
  picture('srcset', none, (target) => `<main><img width="640" height="480" alt="" srcset="${target} 2x"></main>`),
  picture(
    'a lazy picture',
    none,
    (target) => `<main><img width="640" height="480" alt="" data-src="${target}"></main>`,
  ),
  {
    name: '<base>',
    keepsPage: true,
    gains: PICTURE,
    pages: (target, at) => [html(at, `<base href="${target}/"><meta property="og:image" content="only-here">`)],
  },
  {
    name: 'a picture that redirects',
    keepsPage: true,
    gains: PICTURE,
    pages: (target, at) => [
      html(at, '<meta property="og:image" content="/moved.png">'),
      {
        at: `${at}/moved.png`,
        like: 'a way in',
        status: 302,
        headers: { location: `${asHeader(target)}/picture-640x480.png` },
        body: '',
      },
    ],
  },
  {
    name: 'a discovery link of oEmbed',
    keepsPage: true,
    gains: /"og:site_name":"By oEmbed"/,
    pages: (target, at) => [
      html(at, `<link rel="alternate" type="application/json+oembed" href="${target}/oembed.json">`),
    ],
  },
  {
    name: 'a discovery link in a header',
    keepsPage: true,
    gains: /"og:site_name":"By oEmbed"/,
    pages: (target, at) => [
      {
        ...html(at, ''),
        headers: { link: `<${asHeader(target)}/oembed.json>; rel="alternate"; type="application/json+oembed"` },
      },
    ],
  },
  {
    name: 'the picture of an oEmbed answer',
    keepsPage: true,
    gains: PICTURE,
    pages: (target, at) => [
      html(at, '<link rel="alternate" type="application/json+oembed" href="/oembed.json">'),
      {
        at: `${at}/oembed.json`,
        like: 'a way in',
        type: 'application/json',
        body: JSON.stringify({
          version: '1.0',
          type: 'link',
          title: 'By oEmbed',
          provider_name: 'By oEmbed',
          thumbnail_url: `${target}/picture-640x480.png`,
          thumbnail_width: 640,
          thumbnail_height: 480,
        }),
      },
    ],
  },
]

/** Headers have bytes and no letters beyond them: browsers read these as UTF-8. */
function asHeader(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** What is to be had at the allowed side. */
export const ALLOWED: readonly Page[] = [
  { at: '127.0.0.2/allowed', like: 'the other side', body: '<title>Allowed</title><p>Of no consequence.</p>' },
  {
    at: '127.0.0.2/only-here',
    like: 'the other side',
    type: 'image/png',
    body: async () => (await drawPicture('/only-here-640x480.png'))?.bytes ?? Buffer.alloc(0),
  },
  {
    at: '127.0.0.2/oembed.json',
    like: 'the other side',
    type: 'application/json',
    body: JSON.stringify({ version: '1.0', type: 'link', title: 'By oEmbed', provider_name: 'By oEmbed' }),
  },
]
