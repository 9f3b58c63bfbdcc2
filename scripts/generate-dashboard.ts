/** Writes docs/deploy/monitoring/dashboard.json from `scripts/dashboard/`; run it after changing what is shown. */
import { writeFile } from 'node:fs/promises'
import { dashboardText } from './dashboard/grafana.ts'
import { dashboardRows } from './dashboard/rows.ts'

await writeFile(new URL('../docs/deploy/monitoring/dashboard.json', import.meta.url), dashboardText(dashboardRows))
