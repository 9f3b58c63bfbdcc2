import pino from 'pino'
import { openThumbnailPool } from '../../src/thumbnails/pool.ts'

/** A process with a pool that has made one thumbnail, of the first argument to the second, and waits to be killed. */
const [source = '', target = ''] = process.argv.slice(2)
const pool = openThumbnailPool({ workers: 1, jobTimeoutMs: 10_000, queueLimit: 1, log: pino({ level: 'silent' }) })
const limits = { maxSourceBytes: 0, maxPixels: 1_000_000 }
const size = { width: 32, height: 32, method: 'scale', stillFrame: 0 } as const
await pool.generate({ source, target, ...size, limits, types: ['image/webp'] }, new AbortController().signal)
process.send?.('made')
