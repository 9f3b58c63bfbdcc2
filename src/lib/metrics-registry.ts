import type { Metric } from 'prom-client'
import { collectDefaultMetrics, Registry } from 'prom-client'

import type { Family } from './counts.ts'

/**
 * A prom-client registry of its own that shows the given families and the usual figures of the process (memory, CPU, event
 * loop, garbage collection). Import this module only when metrics are wanted: prom-client costs memory and start-up time.
 */
export function openRegistry(families: readonly Family[]): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const family of families) registry.registerMetric(asMetric(family))
  return registry
}

/** prom-client has no way to take finished counts, but asks a metric for nothing except these members. */
function asMetric(family: Family): Metric {
  const { name, help, type } = family
  const metric: unknown = {
    name,
    help,
    type,
    aggregator: 'sum',
    get: () => Promise.resolve({ name, help, type, aggregator: 'sum', values: family.samples() }),
    reset: () => undefined,
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- prom-client's type asks for its classes
  return metric as Metric
}
