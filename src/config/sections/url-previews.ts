import { z } from 'zod'
import { networks, PRIVATE_NETWORKS } from '../networks.ts'
import { anywhere, atStart, flag, mainOnly, option, section, text, whole, wholeFromZero } from '../option.ts'

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
    ...planned,
    description: 'Types of files (with * for anything) that are previewed themselves.',
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
  userAgent: option(text(), 'matrix-media-repo', { ...planned, description: 'User-Agent sent to pages.' }),
  oEmbed: option(flag(), false, { ...planned, description: 'Use oEmbed for the sites that are known to need it.' }),
})
