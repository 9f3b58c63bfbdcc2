import { decimal, flag, mainOnly, option, section, whole } from '../option.ts'

const planned = { ...mainOnly, planned: true } as const

export const rateLimit = section('How much one caller may ask for.', {
  enabled: option(flag(), true, { ...planned, description: 'Enforce the limits below.' }),
  requestsPerSecond: option(decimal({ min: 0 }), 1, {
    ...planned,
    description: 'Requests a second of one address to one path, on average.',
  }),
  burst: option(whole({ min: 0 }), 10, { ...planned, description: 'Requests of one address to one path at once.' }),
  perCaller: section('All requests of one user, or of one address without a user.', {
    requestsPerSecond: option(decimal({ min: 0 }), 50, { ...planned, description: 'Requests a second, on average.' }),
    burst: option(whole({ min: 0 }), 500, { ...planned, description: 'Requests at once.' }),
  }),
  buckets: section('How many bytes one address may fetch.', {
    downloads: section('Downloads fill the bucket, and time empties it.', {
      capacityBytes: option(whole({ min: 0 }), 524_288_000, { ...planned, description: 'Bytes that fit in.' }),
      drainBytesPerMinute: option(whole({ min: 0 }), 5_242_880, {
        ...planned,
        description: 'Bytes that leave a minute.',
      }),
      overflowLimitBytes: option(whole({ min: 0 }), 104_857_600, {
        ...planned,
        description: 'Bytes by which one download may overfill it.',
      }),
    }),
  }),
})
