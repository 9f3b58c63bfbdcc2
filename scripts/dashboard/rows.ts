/**
 * What `docs/deploy/monitoring/dashboard.json` shows, row by row: this and its neighbours are the one place to change it, and
 * `node scripts/generate-dashboard.ts` then writes the file. A test says which metrics of ours no panel shows.
 */
import type { Row } from './panel.ts'
import { background, storage } from './storage.ts'
import { machine, moderation, others } from './surroundings.ts'
import { glance, media, requests } from './traffic.ts'

export const dashboardRows: readonly Row[] = [glance, requests, media, storage, background, moderation, others, machine]
