/**
 * Counting without a library's help on the way of a request. prom-client hashes the labels anew at each increment (about a
 * microsecond for three labels); here a series is found by its label values in nested maps, and prom-client only sees the
 * numbers when somebody asks for them (metrics-registry.ts).
 */

export type LabelValue = string | number

/** One line of the exposition; `metricName` where it is not the family's own name. */
export interface Sample {
  readonly labels: Readonly<Record<string, LabelValue>>
  readonly value: number
  readonly metricName?: string
}

/** All series of one name, as prom-client's registry takes them. */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  samples(): Sample[]
}

/** A number that is counted up (`add`) or, for gauges, set. */
export class Count {
  value = 0
  /** What `set` was last given; undefined before the first time. */
  state: number | undefined

  add(amount = 1): void {
    this.value += amount
  }

  set(value: number): void {
    this.state = value
    this.value = value
  }
}

/** How many observations fell under each bound, and their sum. */
export class Distribution {
  readonly bounds: readonly number[]
  /** One more than there are bounds: the last is for what is above all of them. Not cumulative. */
  readonly counts: number[]
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  observe(value: number): void {
    const { bounds, counts } = this
    let bucket = 0
    while (bucket < bounds.length && value > (bounds[bucket] ?? Infinity)) bucket += 1
    counts[bucket] = (counts[bucket] ?? 0) + 1
    this.sum += value
  }
}

interface Branch<Series> {
  readonly branches: Map<LabelValue, Branch<Series>>
  series: Series | undefined
}

/** The series of one family by their label values. */
class SeriesTree<Series> {
  readonly labelNames: readonly string[]
  readonly all: { readonly labels: Readonly<Record<string, LabelValue>>; readonly series: Series }[] = []
  readonly #make: () => Series
  readonly #root: Branch<Series> = { branches: new Map(), series: undefined }

  constructor(labelNames: readonly string[], make: () => Series) {
    this.labelNames = labelNames
    this.#make = make
    if (labelNames.length === 0) this.of([])
  }

  of(values: readonly LabelValue[]): Series {
    let branch = this.#root
    for (const value of values) branch = branch.branches.get(value) ?? grow(branch, value)
    return (branch.series ??= this.#add(values))
  }

  #add(values: readonly LabelValue[]): Series {
    const labels = Object.fromEntries(this.labelNames.map((name, index) => [name, values[index] ?? '']))
    const series = this.#make()
    this.all.push({ labels, series })
    return series
  }
}

function grow<Series>(branch: Branch<Series>, value: LabelValue): Branch<Series> {
  const grown: Branch<Series> = { branches: new Map(), series: undefined }
  branch.branches.set(value, grown)
  return grown
}

/** A counter or gauge family. `of` takes the label values in the order of `labelNames`; the first use makes the series. */
export class CountFamily implements Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly #tree: SeriesTree<Count>

  constructor(type: 'counter' | 'gauge', name: string, help: string, labelNames: readonly string[] = []) {
    this.type = type
    this.name = name
    this.help = help
    this.#tree = new SeriesTree(labelNames, () => new Count())
  }

  of(...values: readonly LabelValue[]): Count {
    return this.#tree.of(values)
  }

  samples(): Sample[] {
    return this.#tree.all.map(({ labels, series }) => ({ labels, value: series.value }))
  }
}

/** A histogram family; `bounds` are the upper limits of the buckets, ascending, without infinity. */
export class DistributionFamily implements Family {
  readonly type = 'histogram'
  readonly name: string
  readonly help: string
  readonly #tree: SeriesTree<Distribution>

  constructor(name: string, help: string, bounds: readonly number[], labelNames: readonly string[] = []) {
    this.name = name
    this.help = help
    this.#tree = new SeriesTree(labelNames, () => new Distribution(bounds))
  }

  of(...values: readonly LabelValue[]): Distribution {
    return this.#tree.of(values)
  }

  samples(): Sample[] {
    return this.#tree.all.flatMap(({ labels, series }) => this.#samplesOf(labels, series))
  }

  #samplesOf(labels: Readonly<Record<string, LabelValue>>, series: Distribution): Sample[] {
    let total = 0
    const buckets = series.counts.map((count, index) => {
      total += count
      const le = series.bounds[index] ?? '+Inf'
      return { metricName: `${this.name}_bucket`, labels: { ...labels, le }, value: total }
    })
    return [
      ...buckets,
      { metricName: `${this.name}_sum`, labels, value: series.sum },
      { metricName: `${this.name}_count`, labels, value: total },
    ]
  }
}

/** Keeps a label from taking more values than a monitoring system bears; what comes later becomes `other`. */
export class LabelLimit {
  readonly #maxKnown: number
  readonly #maxUnknown: number
  #known: ReadonlySet<string> = new Set()
  readonly #unknown = new Set<string>()

  /** Up to `maxKnown` values that the configuration names, and the first `maxUnknown` others that are seen. */
  constructor(maxKnown: number, maxUnknown: number) {
    this.#maxKnown = maxKnown
    this.#maxUnknown = maxUnknown
  }

  setKnown(values: Iterable<string>): void {
    this.#known = new Set(Iterator.from(values).take(this.#maxKnown))
  }

  /** The value itself, or `other`. */
  admit(value: string): string {
    if (this.#known.has(value) || this.#unknown.has(value)) return value
    if (this.#unknown.size >= this.#maxUnknown) return 'other'
    this.#unknown.add(value)
    return value
  }
}
