import { z } from 'zod'
import { anywhere, flag, needed, option, section, text, textThat, whole, wholeFromZero } from '../option.ts'

const window = z.object({
  seconds: needed(whole({ min: 1 }), {
    ...anywhere,
    example: 86_400,
    description: 'Length of the window in seconds.',
  }),
  maxBytes: needed(whole({ min: 0 }), {
    ...anywhere,
    example: 1_073_741_824,
    description: 'Most bytes that may be uploaded within it; what was deleted since counts too. 0 = nothing.',
  }),
})

const quota = z.object({
  glob: needed(
    textThat((value) => value !== '', 'a pattern of user ids like @*:example.org'),
    {
      ...anywhere,
      example: '@*:*',
      description: 'User ids it is for; * stands for anything. The first rule that matches counts.',
    },
  ),
  maxBytes: option(whole(), 0, {
    ...anywhere,
    example: 53_687_063_712,
    description:
      'Most bytes such a user may keep here; below 0 = no limit, 0 or left out = nothing may be uploaded (as in MMR).',
  }),
  maxPending: option(whole(), 0, {
    ...anywhere,
    example: 5,
    description:
      'Most reserved, not yet uploaded media of such a user, in place of uploads.maxPending; 0 and below = no limit.',
  }),
  maxFiles: option(whole(), 0, {
    ...anywhere,
    description: 'Most files such a user may keep here; 0 and below = no limit.',
  }),
  windows: option(z.array(window), [], {
    ...anywhere,
    description:
      'Limits over sliding windows of time; all must hold. Uploads count from when there is a window for them.',
  }),
  infoUri: option(text(), '', {
    ...anywhere,
    example: 'https://example.org/limits',
    description:
      'Address of a page that explains the limits. With it clients get M_USER_LIMIT_EXCEEDED and this address, without it M_FORBIDDEN.',
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
  quotas: section('Limits on what is kept and uploaded.', {
    enabled: option(flag(), false, {
      ...anywhere,
      description: 'Enforce the limits below.',
    }),
    total: section('Limits for all users of a homeserver together, each homeserver by itself.', {
      maxBytes: option(wholeFromZero(), 0, {
        ...anywhere,
        description:
          'Most bytes of their media that are kept; 0 = no limit. The uploads of a homeserver are committed one by one then.',
      }),
      maxFiles: option(wholeFromZero(), 0, { ...anywhere, description: 'Most media that are kept; 0 = no limit.' }),
    }),
    users: option(z.array(quota), [], { ...anywhere, description: 'The limits, most particular first.' }),
  }),
})
