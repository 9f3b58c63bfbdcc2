/** Writes config.sample.yaml and docs/configuration.md from the schema; run it after changing an option. */
import { writeFile } from 'node:fs/promises'
import { configManual } from '../src/config/manual.ts'
import { sampleConfig } from '../src/config/sample.ts'

await writeFile(new URL('../config.sample.yaml', import.meta.url), sampleConfig())
await writeFile(new URL('../docs/configuration.md', import.meta.url), configManual())
