import { anywhere, atStart, mainOnly, option, section, whole, wholeFromZero } from '../option.ts'

export const downloads = section('What users may fetch, and from where.', {
  maxBytes: option(wholeFromZero(), 104_857_600, {
    ...anywhere,
    description: 'Largest file to fetch from other servers, in bytes; 0 = no limit.',
  }),
  numWorkers: option(whole({ min: 1 }), 10, {
    ...atStart,
    planned: true,
    description: 'Most files fetched from other servers at a time.',
  }),
  failureCacheMinutes: option(whole({ min: 0 }), 5, {
    ...anywhere,
    planned: true,
    description: 'How long a failed fetch from another server is remembered before it is tried again.',
  }),
  expireAfterDays: option(wholeFromZero(), 0, {
    ...mainOnly,
    planned: true,
    description: 'Forget media of other servers after this many days without use; 0 = never.',
  }),
  maxStoredBytes: option(wholeFromZero(), 0, {
    ...mainOnly,
    planned: true,
    description:
      'Most bytes of media of other servers to keep: looked at every hour, the least recently used go first; 0 = no limit.',
  }),
  defaultRangeChunkSizeBytes: option(whole({ min: 1 }), 10_485_760, {
    ...anywhere,
    description: 'How much to send when a client asks for a range without an end, in bytes.',
  }),
})
