import { anywhere, atStart, flag, mainOnly, option, section, whole, wholeFromZero } from '../option.ts'

export const downloads = section('What users may fetch, and from where.', {
  maxBytes: option(wholeFromZero(), 104_857_600, {
    ...anywhere,
    description: 'Largest file to fetch from other servers, in bytes; 0 = no limit.',
  }),
  numWorkers: option(whole({ min: 1 }), 10, {
    ...atStart,
    description:
      'Most files fetched from other servers at a time, half of them from one server; servers that have not answered after a second do not count. Fifty times as many may wait for their turn; whoever asks for more is answered 429.',
  }),
  failureCacheMinutes: option(whole({ min: 0 }), 5, {
    ...anywhere,
    description:
      'How long a failed fetch from another server is remembered before it is tried again, where trying again would give the same: a file that is not there, or too large. 0: not at all.',
  }),
  expireAfterDays: option(wholeFromZero(), 0, {
    ...mainOnly,
    description:
      'Remove media of other servers after this many days without use; 0 = never. They are fetched again when somebody asks for them.',
  }),
  maxStoredBytes: option(wholeFromZero(), 0, {
    ...mainOnly,
    description:
      'Most bytes of media of other servers to keep: looked at every hour, the least recently used go first; 0 = no limit.',
  }),
  defaultRangeChunkSizeBytes: option(whole({ min: 1 }), 10_485_760, {
    ...anywhere,
    description: 'How much to send when a client asks for a range without an end, in bytes.',
  }),
  cache: section('Small files that are asked for again and again, kept in the memory of the process.', {
    enabled: option(flag(), true, { ...mainOnly, description: 'Keep them.' }),
    maxSizeBytes: option(wholeFromZero(), 67_108_864, {
      ...mainOnly,
      description: 'How much memory they may take in all, in bytes. It is taken only as they come.',
    }),
    maxFileSizeBytes: option(wholeFromZero(), 1_048_576, {
      ...mainOnly,
      description: 'The largest file to keep, in bytes.',
    }),
    trackedMinutes: option(whole({ min: 1 }), 30, {
      ...mainOnly,
      description: 'For how long requests for a file are counted, in minutes.',
    }),
    minDownloads: option(whole({ min: 0 }), 2, {
      ...mainOnly,
      description: 'How often a file is asked for within trackedMinutes until it is kept.',
    }),
    minCacheTimeSeconds: option(whole({ min: 0 }), 30, {
      ...mainOnly,
      description: 'How long a file is kept at least before it makes room for another.',
    }),
    minEvictedTimeSeconds: option(whole({ min: 0 }), 60, {
      ...mainOnly,
      description: 'How long a file that made room stays out at least.',
    }),
  }),
})
