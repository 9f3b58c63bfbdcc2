import { z } from 'zod'
import { networks, PRIVATE_NETWORKS } from '../networks.ts'
import { anywhere, atStart, flag, mainOnly, option, section, text, whole, wholeFromZero } from '../option.ts'

/** What robots of this kind look like, and a name that most sites' lists have (docs/decisions/037). No version: it is nobody's business. */
const USER_AGENT = 'Mozilla/5.0 (compatible; CellariumBot/1.0; Matrix link previews; like Twitterbot)'

const planned = { ...anywhere, planned: true } as const

export const urlPreviews = section('Previews of web pages in chats.', {
  enabled: option(flag(), true, { ...planned, description: 'Offer previews.' }),
  maxPageSizeBytes: option(whole({ min: 0 }), 10_485_760, {
    ...planned,
    description: 'Most of a page to read, in bytes; 0 = no previews.',
  }),
  previewUnsafeCertificates: option(flag(), false, {
    ...planned,
    description: 'Also preview pages whose certificate cannot be verified.',
  }),
  numWords: option(whole({ min: 0 }), 50, { ...planned, description: 'Most words of a description.' }),
  maxLength: option(whole({ min: 0 }), 200, { ...planned, description: 'Most characters of a description.' }),
  numTitleWords: option(whole({ min: 0 }), 30, { ...planned, description: 'Most words of a title.' }),
  maxTitleLength: option(whole({ min: 0 }), 150, { ...planned, description: 'Most characters of a title.' }),
  filePreviewTypes: option(z.array(text()), ['image/*'], {
    ...anywhere,
    description:
      'Types of files (with * for anything) that are previewed themselves, as their bytes tell: pictures, and also video/*, audio/*, application/pdf, text/plain, feeds (application/rss+xml, application/atom+xml, application/feed+json) and others, of which only the name is shown. One that fits is enough.',
  }),
  numWorkers: option(whole({ min: 1 }), 10, {
    ...atStart,
    planned: true,
    description: 'Most previews made at a time.',
  }),
  disallowedNetworks: option(networks(), PRIVATE_NETWORKS, {
    ...planned,
    description: 'Networks that are never fetched from.',
  }),
  allowedNetworks: option(networks(), ['0.0.0.0/0'], {
    ...planned,
    description: 'Networks that may be fetched from; a disallowed network wins. Add ::/0 for IPv6.',
  }),
  disallowedUrls: option(z.array(text()), [], {
    ...planned,
    example: ['*.example.com', 'example.org/private/*'],
    description: 'Hosts and paths (with * for anything) that are never previewed.',
  }),
  expireAfterDays: option(wholeFromZero(), 0, {
    ...mainOnly,
    planned: true,
    description: 'Forget previews after this many days; 0 = never.',
  }),
  defaultLanguage: option(text(), 'en-US,en', {
    ...planned,
    description: 'Accept-Language sent to pages when the client names none.',
  }),
  userAgent: option(text(), USER_AGENT, {
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
    example: '/etc/cellarium/providers.json',
    description:
      'List of your own to use in place of the one of oembed.com: a file in the form of its providers.json. It is checked at the start and on reload; changes to it are noticed.',
  }),
})
