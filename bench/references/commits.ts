/**
 * How many transactions of one row SQLite alone commits a second, each synced to disk. Prints the number. Arguments: a folder
 * on the disk in question, seconds.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

const [folder = '.', seconds = '1'] = process.argv.slice(2)
const database = new DatabaseSync(join(folder, `commits-${randomBytes(4).toString('hex')}.sqlite`))
database.exec('PRAGMA journal_mode = WAL')
database.exec('PRAGMA synchronous = FULL')
database.exec('CREATE TABLE media (origin TEXT, media_id TEXT, sha256 TEXT, size INT, PRIMARY KEY (origin, media_id))')
const insert = database.prepare('INSERT INTO media VALUES (?, ?, ?, ?)')

const began = performance.now()
let commits = 0
let elapsed = 0
while (elapsed < Number(seconds) * 1000) {
  const id = String(commits++)
  insert.run('bench.example', id, id.padStart(64, '0'), 1024)
  elapsed = performance.now() - began
}
console.log((commits * 1000) / elapsed)
database.close()
