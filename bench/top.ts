/** What a CPU profile of `npm run bench -- --profile` says: the functions with most time of their own. Arguments: files. */
import { readFile } from 'node:fs/promises'

interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  /** µs since the sample before. */
  readonly timeDeltas: readonly number[]
}

const SHOWN = 40
/** Nothing to run: waiting for the network, the disk or the core. */
const WAITING = new Set(['(idle)'])

for (const file of process.argv.slice(2)) {
  const profile: Profile = JSON.parse(await readFile(file, 'utf8'))
  const own = ownTimes(profile)
  const total = [...own.values()].reduce((sum, time) => sum + time, 0)
  console.log(`${file}: ${(total / 1e6).toFixed(2)} s of CPU`)
  for (const [name, time] of [...own].toSorted((a, b) => b[1] - a[1]).slice(0, SHOWN)) {
    console.log(`${((100 * time) / total).toFixed(1).padStart(5)} %  ${name}`)
  }
}

function ownTimes({ nodes, samples, timeDeltas }: Profile): Map<string, number> {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const times = new Map<string, number>()
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '?'
    if (!WAITING.has(name)) times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0))
  }
  return times
}

function nameOf({ functionName, url, lineNumber }: Profile['nodes'][number]['callFrame']): string {
  const name = functionName || '(nameless)'
  return url === '' ? name : `${name}  ${url.replace(/^.*\/(src|node_modules|bin)\//, '$1/')}:${lineNumber + 1}`
}
