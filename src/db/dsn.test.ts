import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../../test/support/folder.ts'
import { ConfigError } from '../lib/errors.ts'
import { parseDsn } from './dsn.ts'

describe('The address of a PostgreSQL database', () => {
  test.for([
    ['postgres://user:pass@db.example.org:5433/media', { host: 'db.example.org', port: 5433, database: 'media' }],
    ['postgresql://user@db.example.org/media', { host: 'db.example.org', user: 'user', database: 'media' }],
    ['postgres://u:p%40ss%2Fword%25@[::1]/media', { host: '::1', password: 'p@ss/word%' }],
    ['postgres://u@h/my%20data%2Fbase%3F', { database: 'my data/base?' }],
    ['postgres:///media?host=/var/run/postgresql', { host: '/var/run/postgresql', database: 'media' }],
    ['postgres://%2Fvar%2Frun%2Fpostgresql/media', { host: '/var/run/postgresql', database: 'media' }],
    ['postgres://u:p@h/media?sslmode=disable', { database: 'media', ssl: false }],
    ['postgres://h/media?application_name=matrix', { application_name: 'matrix' }],
  ] as const)('may be a URL: %s', ([dsn, expected]) => {
    expect(parseDsn(dsn)).toMatchObject(expected)
  })

  test.for([
    [
      'host=db port=5433 user=u password=p dbname=media',
      { host: 'db', port: 5433, user: 'u', password: 'p', database: 'media' },
    ],
    ["  host = db\n  user = 'two words'\t", { host: 'db', user: 'two words' }],
    [
      String.raw`password='it\'s a \\ backslash' user=back\ slash`,
      { password: String.raw`it's a \ backslash`, user: 'back slash' },
    ],
    ["dbname='a/b?c#d%41&é=+'", { database: 'a/b?c#d%41&é=+' }],
    ["user='a b' password='p%40:/?#[]@!'", { user: 'a b', password: 'p%40:/?#[]@!' }],
    ['host=/var/run/postgresql dbname=media', { host: '/var/run/postgresql', database: 'media' }],
    ['host=::1', { host: '::1' }],
    ['hostaddr=192.0.2.1 host=db.example.org', { host: '192.0.2.1' }],
    ['host=db.example.org hostaddr=192.0.2.1', { host: '192.0.2.1' }],
    ['dbname=media', { host: 'localhost', database: 'media' }],
    [
      "host=db options='-c search_path=x' application_name=a+b%20c",
      { options: '-c search_path=x', application_name: 'a+b%20c' },
    ],
  ] as const)('may be key=value pairs: %s', ([dsn, expected]) => {
    expect(parseDsn(dsn)).toMatchObject(expected)
  })

  test('says nothing of what it does not name, so that PGUSER, PGPASSWORD and the like count', () => {
    const { user, password, database, port } = parseDsn('host=db')
    expect([user || undefined, password || undefined, database, port]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ])
  })
})

describe('A PostgreSQL connection', () => {
  test.for([
    ['disable', false],
    ['allow', false],
    ['prefer', { rejectUnauthorized: false }],
    ['require', { rejectUnauthorized: false }],
    ['verify-full', {}],
  ] as const)('with sslmode=%s is encrypted and verified as libpq does: %j', ([mode, expected]) => {
    expect(parseDsn(`host=db sslmode=${mode}`).ssl).toEqual(expected)
    expect(parseDsn(`postgres://db/media?sslmode=${mode}`).ssl).toEqual(expected)
  })

  test('without sslmode is not encrypted', () => {
    expect(parseDsn('host=db').ssl).toBeUndefined()
    expect(parseDsn('postgres://db/media').ssl).toBeUndefined()
  })

  test('verifies against a certificate of its own, and with verify-ca not the name', async () => {
    await using folder = await temporaryFolder()
    const file = join(folder.path, 'ca.pem')
    await writeFile(file, 'a certificate')
    const full = parseDsn(`host=db sslmode=verify-full sslrootcert='${file}'`).ssl
    expect(full).toEqual({ ca: 'a certificate' })
    for (const mode of ['verify-ca', 'require']) {
      const authority = parseDsn(`postgres://db/media?sslmode=${mode}&sslrootcert=${encodeURIComponent(file)}`).ssl
      expect(authority).toEqual({ ca: 'a certificate', checkServerIdentity: expect.any(Function) })
    }
  })
})

describe('An address that cannot be used', () => {
  test.for([
    [' ', 'is neither a URL'],
    ['nonsense', 'is neither a URL'],
    ['host', 'is neither a URL'],
    ["host='db", 'is neither a URL'],
    ["host='db'x", 'is neither a URL'],
    ['mysql://u:secret@h/d', 'is neither a URL'],
    ['host=db port=secret', 'port=secret is no port'],
    ['host=db port=0', 'port=0 is no port'],
    ['host=db port=70000', 'port=70000 is no port'],
    ['host=db sslmode=on', 'sslmode=on is not one of disable, allow, prefer, require, verify-ca, verify-full'],
    ['postgres://u:secret@h/d?sslmode=no-verify', 'sslmode=no-verify is not one of'],
    ['host=db sslmode=verify-ca', 'sslrootcert'],
    ['host=db sslrootcert=/nowhere/ca.pem', '/nowhere/ca.pem'],
    ['postgres://u:secret@h:notaport/d', 'Invalid URL'],
    ['postgres://u:secret@h/%zz', 'URI malformed'],
  ])('is refused in a sentence: %s', ([dsn = '', expected = '']) => {
    const refused = () => parseDsn(dsn)
    expect(refused).toThrow(ConfigError)
    expect(refused).toThrow(/^database\.postgres: /)
    expect(refused).toThrow(expected)
    expect(refused).not.toThrow('secret@')
  })
})

describe('Any address of a PostgreSQL database', () => {
  const text = fc.string({ unit: 'binary', minLength: 1 }).filter((value) => !value.includes('\0'))
  const host = fc.domain()
  const port = fc.integer({ min: 1, max: 65_535 })

  test('as pairs says what was put into it, whatever that is', () => {
    fc.assert(
      fc.property(host, port, text, text, text, (name, number, user, password, database) => {
        const dsn = `host=${name} port=${number} user=${quoted(user)} password=${quoted(password)} dbname=${quoted(database)}`
        expect(parseDsn(dsn)).toMatchObject({ host: name, port: number, user, password, database })
      }),
    )
  })

  test('as pairs without quotes says what was put into it, with a backslash before what is special', () => {
    fc.assert(
      fc.property(text, text, (user, password) => {
        expect(parseDsn(`user=${escaped(user)} password=${escaped(password)}`)).toMatchObject({ user, password })
      }),
    )
  })

  test('as a URL says what was put into it, percent-encoded', () => {
    fc.assert(
      fc.property(host, port, text, text, text, (name, number, user, password, database) => {
        const [u, p, d] = [user, password, database].map(encodeURIComponent)
        expect(parseDsn(`postgres://${u}:${p}@${name}:${number}/${d}`)).toMatchObject({
          host: name,
          port: number,
          user,
          password,
          database,
        })
      }),
    )
  })

  test('is read or refused, whatever it is, and a refusal keeps passwords to itself', () => {
    const dsn = fc.oneof(
      fc.string(),
      fc.string().map((rest) => `postgres://${rest}`),
      fc.string().map((rest) => `host=${rest}`),
    )
    fc.assert(
      fc.property(dsn, (any) => {
        try {
          parseDsn(any)
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
          expect((error as Error).cause).toBeUndefined()
        }
      }),
    )
  })
})

function quoted(value: string): string {
  return `'${value.replaceAll(/['\\]/g, String.raw`\$&`)}'`
}

function escaped(value: string): string {
  return value.replaceAll(/[\s'\\]/g, String.raw`\$&`)
}
