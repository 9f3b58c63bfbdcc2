/** Makes a program in `bin/` for each of MMR's names that we know, and names it in package.json; run it after adding one. */
import { readFile, writeFile } from 'node:fs/promises'
import { toolNames } from '../src/cli/program.ts'
import { lockWithTools, packageWithTools, toolProgram } from './tools.ts'

await change('package.json', packageWithTools)
await change('package-lock.json', lockWithTools)
for (const name of toolNames) {
  await writeFile(new URL(`../bin/${name}.js`, import.meta.url), toolProgram(name), { mode: 0o755 })
}

async function change(file: string, withTools: typeof packageWithTools): Promise<void> {
  const url = new URL(`../${file}`, import.meta.url)
  await writeFile(url, withTools(await readFile(url, 'utf8'), toolNames))
}
