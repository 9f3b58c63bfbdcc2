/** Writes docs/admin-api.md from the table of routes; run it after changing a described route. */
import { writeFile } from 'node:fs/promises'
import { adminManual } from '../src/http/manual.ts'
import { routes } from '../src/http/routes.ts'

await writeFile(new URL('../docs/admin-api.md', import.meta.url), adminManual(routes))
