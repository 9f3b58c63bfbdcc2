import { atStart, flag, option, section, text, whole } from '../option.ts'

export const metrics = section('Measurements for Prometheus, on a port of their own.', {
  enabled: option(flag(), false, { ...atStart, description: 'Offer /metrics and /_media/metrics.' }),
  bindAddress: option(text(), '127.0.0.1', { ...atStart, description: 'Address to listen on.' }),
  port: option(whole({ min: 0, max: 65535 }), 9000, {
    ...atStart,
    description: 'Port to listen on; 0 takes a free one.',
  }),
})
