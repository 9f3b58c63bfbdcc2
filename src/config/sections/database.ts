import { atStart, option, section, text, textThat, whole } from '../option.ts'

const PLACEHOLDER = 'your_username:your_password@'
const PLACEHOLDER_PROBLEM = 'the address of your own database, not the example of the sample (or nothing, for SQLite)'

export const database = section('Where the records are kept: PostgreSQL, or a SQLite file when none is named.', {
  postgres: option(
    textThat((dsn) => !dsn.includes(PLACEHOLDER), PLACEHOLDER_PROBLEM),
    '',
    {
      ...atStart,
      secret: true,
      example: 'postgres://cellarium:password@localhost/cellarium?sslmode=disable',
      description: 'PostgreSQL address, as a URL or in the key=value form, read as libpq reads it. Empty: SQLite.',
    },
  ),
  sqlite: option(text(), '', {
    ...atStart,
    example: './data/cellarium.sqlite',
    description: 'SQLite file, used when postgres is empty. Empty: cellarium.sqlite in the data folder.',
  }),
  pool: section('Connections to PostgreSQL.', {
    maxConnections: option(whole({ min: 1 }), 25, { ...atStart, description: 'Most connections open at a time.' }),
    maxIdleConnections: option(whole({ min: 0 }), 5, {
      ...atStart,
      description: 'Most connections kept open while nothing happens.',
    }),
  }),
})
