import { pino } from 'pino'
import { openDatabase } from '../../src/db/connect.ts'
import { releaseLease, renewLease, takeLease } from '../../src/db/leases.ts'
import { commitMedia } from '../../src/db/media.ts'
import { media } from '../contract/database/support.ts'

/** A process that takes leases and commits media in turn to the SQLite file of its argument, and prints what it begins. */
const [path = ''] = process.argv.slice(2)
const pool = { maxConnections: 1, maxIdleConnections: 1 }
await using db = await openDatabase({ sqlite: path, postgres: '', pool }, 'server', pino({ level: 'silent' }))
const lease = { name: 'work', token: 'ours', ms: 60_000 }

const steps = {
  'first medium': () => db.write(commitMedia, media()),
  'leases alone': async () => {
    await db.write(takeLease, lease)
    await db.write(renewLease, lease)
    await db.write(releaseLease, lease)
  },
  'medium after leases': () => db.write(commitMedia, media()),
  'both at once': () => Promise.all([db.write(takeLease, lease), db.write(commitMedia, media())]),
  end: async () => {},
}
for (const [name, step] of Object.entries(steps)) {
  console.log(`begin ${name}`)
  await step()
}
