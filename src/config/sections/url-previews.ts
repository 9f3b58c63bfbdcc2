import { z } from 'zod'
import { urlPattern } from '../../lib/url-patterns.ts'
import { networks, PRIVATE_NETWORKS } from '../networks.ts'
import { anywhere, atStart, flag, mainOnly, option, section, text, textThat, whole, wholeFromZero } from '../option.ts'

/** What robots of this kind look like, and a name that most sites' lists have (docs/decisions/037). No version: it is nobody's business. */
const USER_AGENT = 'Mozilla/5.0 (compatible; CellariumBot/1.0; Matrix link previews; like Twitterbot)'

export const urlPreviews = section('Previews of web pages in chats.', {
  enabled: option(flag(), true, {
    ...anywhere,
    description: 'Offer previews; if not, clients are told that the endpoint does not exist.',
  }),
  maxPageSizeBytes: option(whole({ min: 0 }), 10_485_760, {
    ...anywhere,
    description:
      'Most of a page to read, in bytes; what is longer is previewed as far as it was read. 0 = no previews.',
  }),
  previewUnsafeCertificates: option(flag(), false, {
    ...anywhere,
    description: 'Also preview pages whose certificate cannot be verified. The networks are checked all the same.',
  }),
  numWords: option(whole({ min: 0 }), 50, { ...anywhere, description: 'Most words of a description; 0 = any number.' }),
  maxLength: option(whole({ min: 0 }), 200, {
    ...anywhere,
    description: 'Most characters of a description, as people see them; 0 = any number.',
  }),
  numTitleWords: option(whole({ min: 0 }), 30, { ...anywhere, description: 'Most words of a title; 0 = any number.' }),
  maxTitleLength: option(whole({ min: 0 }), 150, {
    ...anywhere,
    description: 'Most characters of a title, as people see them; 0 = any number.',
  }),
  filePreviewTypes: option(z.array(text()), ['image/*'], {
    ...anywhere,
    description:
      'Types of files (with * for anything) that are previewed themselves, as their bytes tell: pictures, and also video/*, audio/*, application/pdf, text/plain, feeds (application/rss+xml, application/atom+xml, application/feed+json) and others, of which only the name is shown. One that fits is enough.',
  }),
  numWorkers: option(whole({ min: 1 }), 10, {
    ...atStart,
    description:
      'Most previews made at a time, half of them of one host. Twenty times as many may wait for their turn; whoever asks for more is answered 429.',
  }),
  disallowedNetworks: option(networks(), PRIVATE_NETWORKS, {
    ...anywhere,
    description: 'Networks that are never fetched from, by whatever name or redirect one gets there.',
  }),
  allowedNetworks: option(networks(), ['0.0.0.0/0', '::/0'], {
    ...anywhere,
    description:
      'Networks that may be fetched from; a disallowed network wins. Without ::/0 (in lists made for matrix-media-repo) nothing is fetched over IPv6; with no network at all there are no previews.',
  }),
  disallowedUrls: option(
    z.array(textThat(isUrlPattern, 'a host or host/path like *.example.com or example.org/private/*')),
    [],
    {
      ...anywhere,
      example: ['*.example.com', 'example.org/private/*'],
      description:
        'Hosts, and paths of hosts, that are never fetched, nor where they are redirected to; * stands for anything. example.org is that host only, *.example.org what is below it; https:// and :8080 may be added.',
    },
  ),
  expireAfterDays: option(wholeFromZero(), 0, {
    ...mainOnly,
    description: 'Remove previews after this many days without use, with their pictures; 0 = never.',
  }),
  defaultLanguage: option(textThat(isHeaderText, 'text that can stand in an HTTP header'), 'en-US,en', {
    ...anywhere,
    description: 'Accept-Language sent to pages when the client names none.',
  }),
  userAgent: option(textThat(isHeaderText, 'text that can stand in an HTTP header'), USER_AGENT, {
    ...anywhere,
    description:
      'What we say to web sites that we are (User-Agent). Many show what a preview needs to known bots only; the default is recognised as one.',
  }),
  oEmbed: option(flag(), false, {
    ...anywhere,
    description:
      'Also ask the oEmbed services of well-known sites (videos, music, photos, social media), and those that pages name. They learn which addresses are previewed.',
  }),
  oEmbedProviders: option(text(), '', {
    ...anywhere,
    description:
      'A file with a list of services to use in place of the one of oembed.com, in the form of its providers.json. It is checked at the start and on reload; changes to it are noticed.',
  }),
})

function isUrlPattern(value: string): boolean {
  return urlPattern(value) !== undefined
}

function isHeaderText(value: string): boolean {
  return /^[\x20-\x7e]*$/.test(value)
}
