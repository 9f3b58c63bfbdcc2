import { z } from 'zod'
import { anywhere, flag, needed, option, section, text, textThat, whole, wholeFromZero } from '../option.ts'

const window = z.object({
  seconds: needed(whole({ min: 1 }), {
    ...anywhere,
    planned: true,
    example: 86_400,
    description: 'Length of the window in seconds.',
  }),
  maxBytes: needed(whole({ min: 0 }), {
    ...anywhere,
    planned: true,
    example: 1_073_741_824,
    description: 'Most bytes that may be uploaded within it.',
  }),
})

const quota = z.object({
  glob: needed(
    textThat((value) => value !== '', 'a pattern of user ids like @*:example.org'),
    {
      ...anywhere,
      planned: true,
      example: '@*:*',
      description: 'User ids it is for; * stands for anything. The first rule that matches counts.',
    },
  ),
  maxBytes: option(whole(), 0, {
    ...anywhere,
    planned: 'not enforced yet, only reported to clients that ask for their usage',
    example: 53_687_063_712,
    description: 'Most bytes such a user may keep here; below 0 = no limit, 0 = nothing may be uploaded (as in MMR).',
  }),
  maxPending: option(whole(), 0, {
    ...anywhere,
    planned: true,
    example: 5,
    description: 'Most reserved, not yet uploaded media of such a user; 0 = no limit.',
  }),
  maxFiles: option(whole(), 0, {
    ...anywhere,
    planned: 'not enforced yet, only reported to clients that ask for their usage',
    description: 'Most files such a user may keep here; 0 = no limit.',
  }),
  windows: option(z.array(window), [], {
    ...anywhere,
    planned: true,
    description: 'Limits over sliding windows of time; all must hold.',
  }),
  infoUri: option(text(), '', {
    ...anywhere,
    planned: true,
    description: 'Address of a page that explains the limit, given to clients with the refusal.',
  }),
})

export const uploads = section('What users may upload.', {
  maxBytes: option(wholeFromZero(), 104_857_600, {
    ...anywhere,
    description: 'Largest upload in bytes; 0 = no limit.',
  }),
  minBytes: option(whole({ min: 0 }), 100, {
    ...anywhere,
    description: 'Smallest upload in bytes; 0 = even empty files.',
  }),
  reportedMaxBytes: option(whole({ min: -1 }), 0, {
    ...anywhere,
    description: 'Largest upload to tell clients, where a proxy allows less: 0 = as maxBytes, -1 = no limit.',
  }),
  maxPending: option(wholeFromZero(), 5, {
    ...anywhere,
    description: 'Most media ids a user may have reserved without uploading; 0 = no limit.',
  }),
  maxAgeSeconds: option(whole({ min: 1 }), 1800, {
    ...anywhere,
    description: 'How long a reserved media id waits for its upload, in seconds.',
  }),
  quotas: section('Limits for users.', {
    enabled: option(flag(), false, {
      ...anywhere,
      planned: 'not enforced yet, only reported to clients that ask for their usage',
      description: 'Enforce the limits below.',
    }),
    users: option(z.array(quota), [], { ...anywhere, description: 'The limits, most particular first.' }),
  }),
})
