import { z } from 'zod'
import { choice, decimal, flag, mainOnly, needed, option, section, text, textThat, whole } from '../option.ts'

const IN_CASE = ['refuse', 'allow'] as const

const isPlace = (value: string) => /^https?:\/\/\S+$/.test(value) || (value !== '' && !value.includes('://'))
const isWeb = (value: string) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)

const source = needed(textThat(isPlace, 'the path of a file, or an address that begins with http:// or https://'), {
  ...mainOnly,
  example: '/etc/cellarium/blocked.txt',
  description: 'Where the list is: the path of a file, or an address.',
})
const authorization = option(text(), '', {
  ...mainOnly,
  secret: true,
  description: 'Sent as the Authorization header to where the list is, such as Bearer and a token.',
})
const refreshSeconds = option(whole({ min: 1 }), 300, {
  ...mainOnly,
  description: 'How often to look whether the list has changed, in seconds.',
})

const hashList = z.object({
  source,
  action: option(choice(['reject', 'quarantine']), 'reject', {
    ...mainOnly,
    description:
      'What happens to a file that is on it: reject keeps nothing, quarantine keeps it where nobody can have it.',
  }),
  refreshSeconds,
  authorization,
})

const perceptualList = z.object({ source, refreshSeconds, authorization })

const perceptual = section('Recognising pictures that look like known ones (docs/moderation.md).', {
  lists: option(z.array(perceptualList), [], { ...mainOnly, description: 'Lists of PDQ hashes; none: not done.' }),
  maxDistance: option(whole({ min: 0, max: 128 }), 31, {
    ...mainOnly,
    description: 'How many of the 256 bits may differ for two pictures to be the same.',
  }),
  minQuality: option(whole({ min: 0, max: 100 }), 50, {
    ...mainOnly,
    description:
      'Pictures with less in them (0 to 100, as PDQ counts it) look like too many others, and are let through.',
  }),
  action: option(choice(['report', 'quarantine', 'reject']), 'report', {
    ...mainOnly,
    description: 'What happens to such a picture: report lets it through and tells administrators.',
  }),
})

const clamd = section('Scanning for viruses by ClamAV’s daemon (docs/moderation.md).', {
  address: option(
    textThat(
      (value) => value === '' || value.startsWith('/') || /^(\[[^\]]+\]|[^\s:/]+):\d+$/.test(value),
      'a path or host:port',
    ),
    '',
    {
      ...mainOnly,
      example: '/run/clamav/clamd.ctl',
      description: 'Where it listens: the path of its socket, or host:port. Empty: not done.',
    },
  ),
  action: option(choice(['reject', 'quarantine']), 'reject', {
    ...mainOnly,
    description: 'What happens to a file in which something is found.',
  }),
  maxBytes: option(whole({ min: 0 }), 0, {
    ...mainOnly,
    description:
      'Largest file to have scanned, in bytes; not more than its StreamMaxLength. 0: it says itself what is too large.',
  }),
  tooLarge: option(choice(IN_CASE), 'allow', {
    ...mainOnly,
    description: 'What happens to files that are larger: allow lets them through unscanned.',
  }),
  timeoutSeconds: option(decimal({ min: 0.1 }), 60, {
    ...mainOnly,
    description: 'How long a scan may take, in seconds.',
  }),
  atATime: option(whole({ min: 1 }), 8, {
    ...mainOnly,
    description: 'Most files that are scanned at a time; its MaxThreads should be more.',
  }),
  onFailure: option(choice(IN_CASE), 'refuse', {
    ...mainOnly,
    description:
      'What happens while it cannot be asked: refuse answers 503, to be tried again; allow lets files through unscanned.',
  }),
})

const hook = z.object({
  url: needed(textThat(isWeb, 'an address that begins with http:// or https://'), {
    ...mainOnly,
    example: 'http://127.0.0.1:8090/judge',
    description: 'Where to ask.',
  }),
  name: option(text(), '', {
    ...mainOnly,
    description: 'What logs, metrics and reports call it. Empty: hook and its number, from 1.',
  }),
  secret: option(text(), '', {
    ...mainOnly,
    secret: true,
    description: 'Signs the requests (HMAC-SHA-256). Empty: they are not signed.',
  }),
  send: option(choice(['metadata', 'url', 'bytes']), 'metadata', {
    ...mainOnly,
    description:
      'What it is told: what is known of the file, also an address to fetch it from, or also the file itself.',
  }),
  sendAddress: option(flag(), false, { ...mainOnly, description: 'Tell it the IP address of who uploads.' }),
  maxBytes: option(whole({ min: 0 }), 0, {
    ...mainOnly,
    description: 'Largest file to ask about, in bytes; larger ones are let through. 0: every file.',
  }),
  timeoutSeconds: option(decimal({ min: 0.1 }), 10, {
    ...mainOnly,
    description: 'How long its answer may take, in seconds, with the time that the file takes to get there.',
  }),
  onFailure: option(choice(IN_CASE), 'refuse', {
    ...mainOnly,
    description:
      'What happens when no proper answer comes in time: refuse answers 503, to be tried again; allow lets the file through.',
  }),
})

export const moderation = section(
  'Gates that every file passes before it is stored: uploads, files of other servers, pictures of previews.',
  {
    remoteMedia: option(choice(['before', 'meanwhile', 'off']), 'before', {
      ...mainOnly,
      description:
        'When files of other servers pass the gates: before anybody gets a byte of them; meanwhile, so that they are sent as they come except for their end, and broken off if a gate refuses them; or not at all. Without gates there is no difference.',
    }),
    hashLists: option(z.array(hashList), [], {
      ...mainOnly,
      description: 'Lists of SHA-256 hashes of files that must not be had here.',
    }),
    clamd,
    perceptual,
    hooks: option(z.array(hook), [], {
      ...mainOnly,
      description: 'Services that are asked about each file, in this order (docs/moderation.md).',
    }),
    ownUrl: option(
      textThat((value) => value === '' || isWeb(value), 'an address that begins with http:// or https://'),
      '',
      {
        ...mainOnly,
        description:
          'Address under which hooks reach this very instance, to fetch files. Empty: http:// with repo.bindAddress and repo.port.',
      },
    ),
  },
)
