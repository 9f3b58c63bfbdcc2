import { type Comparison, median } from '../in-turn.ts'
import type { Engine } from '../records/databases.ts'
import { planOf } from '../records/plans.ts'
import type { ReadQuery, WriteQuery } from '../records/queries.ts'
import { timeQuery } from '../records/time.ts'
import type { Aim, Row } from '../row.ts'

export interface RecordsRow {
  readonly engine: Engine
  readonly query: ReadQuery | WriteQuery
  readonly aim: Aim
}

const ENGINES = { sqlite: 'SQLite', postgres: 'PostgreSQL' } as const

/** One query among ten million media, next to the same among 100 thousand. Filling the databases takes many minutes. */
export function records({ engine, query, aim }: RecordsRow): Row {
  return {
    name: `rows-${engine}-${query.name}`,
    title: `${ENGINES[engine]}, many records: ${query.title}`,
    unit: 'µs',
    reference: '100 thousand media',
    aim,
    onlyWhenNamed: true,
    async measure({ records: databases, rounds, seconds }): Promise<Comparison> {
      const { few, many } = await databases.of(engine)
      const found: { value: number; reference: number }[] = []
      for (let round = 0; round < rounds; round++) {
        found.push({
          value: await timeQuery(query, many, seconds / 2),
          reference: await timeQuery(query, few, seconds / 2),
        })
      }
      const values = found.map(({ value }) => value)
      const pages =
        'run' in query ? [await planOf(query, many), await planOf(query, few)].map((plan) => plan.pages) : []
      return {
        value: median(values),
        lowest: Math.min(...values),
        highest: Math.max(...values),
        reference: median(found.map(({ reference }) => reference)),
        ratio: median(found.map(({ value, reference }) => value / reference)),
        ...(pages[0] !== undefined && { note: `${pages[0]} pages, there ${pages[1]}` }),
      }
    },
  }
}
