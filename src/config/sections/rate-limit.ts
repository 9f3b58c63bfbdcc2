import { decimal, flag, mainOnly, option, section, whole } from '../option.ts'

const planned = { ...mainOnly, planned: true } as const

export const rateLimit = section('How much one caller may ask for.', {
  enabled: option(flag(), true, { ...mainOnly, description: 'Enforce the limits below.' }),
  requestsPerSecond: option(decimal({ min: 0 }), 1, {
    ...planned,
    description: 'Requests a second of one address to one path, on average.',
  }),
  burst: option(whole({ min: 0 }), 10, { ...planned, description: 'Requests of one address to one path at once.' }),
  perCaller: section('All requests of one user, or of one address without a user.', {
    requestsPerSecond: option(decimal({ min: 0 }), 50, { ...planned, description: 'Requests a second, on average.' }),
    burst: option(whole({ min: 0 }), 500, { ...planned, description: 'Requests at once.' }),
  }),
  buckets: section('How many bytes one user, or one address without a user, may have fetched from other servers.', {
    downloads: section('What is fetched fills a bucket, and time empties it. What is here already costs nothing.', {
      capacityBytes: option(whole({ min: 0 }), 524_288_000, {
        ...mainOnly,
        description: 'Bytes that fit in; 0: no limit.',
      }),
      drainBytesPerMinute: option(whole({ min: 0 }), 5_242_880, {
        ...mainOnly,
        description: 'Bytes that leave a minute; 0: no limit.',
      }),
      overflowLimitBytes: option(whole({ min: 0 }), 104_857_600, {
        ...mainOnly,
        description:
          'Bytes by which one download may overfill a bucket that is not full. Into an empty one goes a file of any size.',
      }),
    }),
  }),
})
