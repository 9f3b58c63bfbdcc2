/** How the panels ask: by the instances and homeservers that are chosen above them. */
import type { Query } from './panel.ts'

/** Prometheus's own label `job` is the scrape's name; a label of ours of that name becomes this. */
export const JOB = 'exported_job'

export const of = (metric: string, more = '') => `${metric}{job=~"$job",instance=~"$instance"${more}}`
export const ofHosts = (metric: string, more = '') => of(metric, `,host=~"$host"${more}`)
export const rate = (series: string) => `rate(${series}[$__rate_interval])`
export const perSecond = (series: string, by = '') => `sum${by && ` by (${by}) `}(${rate(series)})`
export const inRange = (series: string, by = '') => `sum${by && ` by (${by}) `}(increase(${series}[$__range]))`
export const quantile = (share: number, metric: string, by = '') =>
  `histogram_quantile(${share}, sum by (le${by && `, ${by}`}) (${rate(metric)}))`
/** Since the start: what runs once an hour has no rate over minutes. */
export const mean = (metric: string, by: string) =>
  `sum by (${by}) (${of(`${metric}_sum`)}) / sum by (${by}) (${of(`${metric}_count`)})`
export const line = (expr: string, legend: string): Query => ({ expr, legend })
