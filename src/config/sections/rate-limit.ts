import { decimal, flag, mainOnly, option, section, whole, wholeFromZero } from '../option.ts'

export const rateLimit = section('How much one caller may ask for.', {
  enabled: option(flag(), true, { ...mainOnly, description: 'Enforce the limits below.' }),
  requestsPerSecond: option(decimal({ min: 0 }), 1, {
    ...mainOnly,
    description:
      'Requests a second of one address (of IPv6 the /64) to one path, on average; 0 = no limit. Each file has a path of its own. Uploads do not count.',
  }),
  burst: option(whole({ min: 0 }), 10, { ...mainOnly, description: 'Requests of one address to one path at once.' }),
  perCaller: section('All requests of one user, or of one address without a user.', {
    requestsPerSecond: option(decimal({ min: 0 }), 50, {
      ...mainOnly,
      description: 'Requests a second, on average; 0 = no limit.',
    }),
    burst: option(whole({ min: 0 }), 500, { ...mainOnly, description: 'Requests at once.' }),
  }),
  create: section('Media ids that one user may have reserved; how many may be open is uploads.maxPending.', {
    requestsPerSecond: option(decimal({ min: 0 }), 10, {
      ...mainOnly,
      description: 'Media ids a second, on average; 0 = no limit.',
    }),
    burst: option(whole({ min: 0 }), 50, { ...mainOnly, description: 'Media ids at once.' }),
  }),
  perServer: section('What one other homeserver, known by its signature, may ask for.', {
    requestsPerSecond: option(decimal({ min: 0 }), 100, {
      ...mainOnly,
      description:
        'Requests a second of each instance, on average; 0 = no limit. Keep it high: Synapse takes one refusal for the failure of the whole homeserver, and sends it nothing for ten minutes.',
    }),
    burst: option(whole({ min: 1 }), 1000, { ...mainOnly, description: 'Requests at once.' }),
    capacityBytes: option(wholeFromZero(), 10_737_418_240, {
      ...mainOnly,
      description:
        'Bytes of media at once, of all instances together where there is Redis; 0 = no limit. The file that goes beyond is still sent. What a datastore sends by itself (federationRedirect) does not count.',
    }),
    drainBytesPerMinute: option(whole({ min: 1 }), 629_145_600, {
      ...mainOnly,
      description: 'Bytes a minute, on average.',
    }),
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
