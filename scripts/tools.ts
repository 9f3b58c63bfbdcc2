/** What the package holds for each of MMR's names. Node and npm's launchers only know files, so each name is one. */

/** A file of `bin/`: the command of this name, as a program of its own. */
export function toolProgram(name: string): string {
  return `#!/usr/bin/env node
// MMR's name of a tool that is a command of ours.
import { fileURLToPath } from 'node:url'

process.argv.splice(1, 1, fileURLToPath(new URL('cellarium.js', import.meta.url)), '${name}')
await import('./cellarium.js')
`
}

/** package.json with these names as programs, and none else but our own. */
export function packageWithTools(text: string, names: readonly string[]): string {
  return written({ ...JSON.parse(text), bin: programs(names) })
}

/** package-lock.json, which repeats what package.json says. */
export function lockWithTools(text: string, names: readonly string[]): string {
  const lock = JSON.parse(text)
  return written({ ...lock, packages: { ...lock.packages, '': { ...lock.packages[''], bin: programs(names) } } })
}

function programs(names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(['cellarium', ...names].toSorted().map((name) => [name, `bin/${name}.js`]))
}

function written(json: object): string {
  return `${JSON.stringify(json, undefined, 2)}\n`
}
