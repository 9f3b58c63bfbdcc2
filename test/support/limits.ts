/** `rateLimit` for tests of something else, which ask more at once than clients do: no limits on requests, all others as usual. */
export const NO_REQUEST_LIMITS = {
  requestsPerSecond: 0,
  perCaller: { requestsPerSecond: 0 },
  create: { requestsPerSecond: 0 },
} as const
