import { pino } from 'pino'
import { openDatabase } from '../../src/db/connect.ts'
import { commitMedia } from '../../src/db/media.ts'
import { media, object } from '../contract/database/support.ts'

/**
 * A process that commits media to the SQLite file of its first argument without an end, eight at a time, with ids that
 * begin with its second. It prints `committed ID` for what it was told is stored, and `failed ID WHY` for what is not.
 */
const [path = '', prefix = ''] = process.argv.slice(2)
const pool = { maxConnections: 1, maxIdleConnections: 1 }
const db = await openDatabase({ sqlite: path, postgres: '', pool }, 'server', pino({ level: 'silent' }))

let number = 0
async function commitOn(): Promise<never> {
  for (;;) {
    const mediaId = `${prefix}-${number++}`
    try {
      await db.write(commitMedia, media({ mediaId, object: object(mediaId) }))
      console.log(`committed ${mediaId}`)
    } catch (error) {
      console.log(`failed ${mediaId} ${(error as Error).message}`)
    }
  }
}

await Promise.all(Array.from({ length: 8 }, commitOn))
