/** The results as a table in Markdown. */
import { cpus, totalmem } from 'node:os'
import type { Comparison } from './in-turn.ts'
import type { Row } from './row.ts'

export interface Result {
  readonly row: Row
  readonly measured: Comparison
}

/** The machine in one line. */
export function machineLine(): string {
  const all = cpus()
  const memory = Math.round(totalmem() / 1024 ** 3)
  return `${all.length} cores (${all[0]?.model.trim() ?? 'unknown'}), ${memory} GiB, Node ${process.versions.node}, ${process.platform} ${process.arch}`
}

const HEADINGS = ['what', 'Cellarium', 'p50 / p99 ms', 'compared with', 'ratio', 'aim', 'reached', 'CPU server / load']

/** One line for each row, columns padded so that it can be read as it is. */
export function table(results: readonly Result[]): string {
  const lines = results.map(cells)
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...lines.map((line) => (line[column] ?? '').length)),
  )
  const format = (line: readonly string[]) => `| ${line.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  return [format(HEADINGS), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...lines.map(format)].join(
    '\n',
  )
}

function cells({ row, measured }: Result): string[] {
  const { value, lowest, highest, p50Ms, p99Ms, reference, ratio, serverCpu, loadCpu, note } = measured
  const spread = highest > lowest ? ` [${number(lowest)}–${number(highest)}]` : ''
  return [
    row.title,
    `${number(value)} ${row.unit}${spread}${note === undefined ? '' : ` (${note})`}`,
    p50Ms === undefined || p99Ms === undefined ? '' : `${number(p50Ms)} / ${number(p99Ms)}`,
    reference === undefined ? '' : `${row.reference}: ${number(reference)}`,
    ratio === undefined ? '' : ratio.toFixed(3),
    row.aim?.text ?? '',
    row.aim === undefined ? '' : row.aim.isReached(measured) ? 'yes' : 'NO',
    serverCpu === undefined || loadCpu === undefined ? '' : `${percent(serverCpu)} / ${percent(loadCpu)}`,
  ]
}

/** Three digits that mean something, thousands separated. */
function number(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: value >= 1000 ? 4 : 3 })
}

const percent = (share: number): string => `${Math.round(share * 100)} %`
