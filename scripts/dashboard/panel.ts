export interface Query {
  /** PromQL with Grafana's variables `$job`, `$instance`, `$host`, `$__rate_interval` and `$__range`. */
  readonly expr: string
  /** What a line is called; `{{label}}` is that label's value. */
  readonly legend: string
}

export interface Panel {
  readonly title: string
  /** What an administrator sees when pointing at the title. */
  readonly help: string
  /** `number`: one, now; `lines`: over time; `ages`: a histogram over time; `bars`: all series, now. */
  readonly kind: 'number' | 'lines' | 'ages' | 'bars'
  /** Grafana's name of the unit. */
  readonly unit: string
  readonly queries: readonly Query[]
  /** It shows what a server may do without: Redis, S3, trouble. Without the word, ordinary traffic fills it. */
  readonly isOftenEmpty?: true
  /** A number from which it is red. */
  readonly redFrom?: number
  /** Below which number it is red. */
  readonly redBelow?: number
}

export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}
