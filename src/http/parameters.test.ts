import { expect, test } from 'vitest'
import {
  each,
  flag,
  moment,
  oneOf,
  readMembers,
  readParameters,
  roomId,
  serverName,
  text,
  userId,
  whole,
} from './parameters.ts'

const shape = {
  before_ts: moment({ description: 'When.' }),
  limit: whole({ description: 'How many.', min: 1, max: 100, fallback: 50 }),
  dir: oneOf(['f', 'b'], { description: 'Which way.', fallback: 'f' }),
  include_local: flag({ description: 'Ours too.', fallback: false }),
  search_term: text({ description: 'What to look for.', fallback: undefined }),
  user_id: each(userId({ description: 'Whose.' }), 2),
}
const read = (query: string) => {
  const given = new URLSearchParams(query)
  return readParameters(shape, (name) => given.getAll(name))
}

test('Parameters are read as what they are', () => {
  expect(read('before_ts=5&limit=7&dir=b&include_local=1&search_term=x&user_id=@a:b&user_id=@c:d')).toEqual({
    before_ts: 5,
    limit: 7,
    dir: 'b',
    include_local: true,
    search_term: 'x',
    user_id: ['@a:b', '@c:d'],
  })
})

test('What is not given, or given empty, has its fallback', () => {
  expect(read('before_ts=0&limit=&dir=')).toEqual({
    before_ts: 0,
    limit: 50,
    dir: 'f',
    include_local: false,
    search_term: undefined,
    user_id: [],
  })
})

test.for([
  ['', 'missing_parameter', 'Missing before_ts argument'],
  ['before_ts=soon', 'bad_parameter', 'before_ts must be a whole number'],
  ['before_ts=1.5', 'bad_parameter', 'before_ts must be a whole number'],
  ['before_ts=-1', 'bad_parameter', 'before_ts must not be less than 0'],
  ['before_ts=99999999999999999999', 'bad_parameter', 'before_ts must be a whole number'],
  ['before_ts=1&limit=101', 'bad_parameter', 'limit must not be more than 100'],
  ['before_ts=1&dir=up', 'bad_parameter', 'dir must be one of f, b'],
  ['before_ts=1&include_local=maybe', 'bad_parameter', 'include_local must be true or false'],
  ['before_ts=1&user_id=alice', 'bad_parameter', 'user_id must be a user id such as @alice:example.org'],
  [
    'before_ts=1&user_id=@a:b&user_id=@a:b&user_id=@a:b',
    'bad_parameter',
    'user_id must not be given more than 2 times',
  ],
  [
    `before_ts=1&search_term=${'x'.repeat(1025)}`,
    'bad_parameter',
    'search_term must not have more than 1024 characters',
  ],
  ['before_ts=1&search_term=a%00b', 'bad_parameter', 'search_term must not have the character NUL in it'],
])('%s is refused: it is %s', ([query = '', reason, message]) => {
  expect(() => read(query)).toThrow(expect.objectContaining({ reason, message }))
})

test('Servers and rooms are checked by their form', () => {
  const path = { serverName: serverName({ description: 'It.' }), roomId: roomId({ description: 'It.' }) }
  const given = (server: string, room: string) => readParameters(path, (name) => [name === 'roomId' ? room : server])
  expect(given('example.org:8448', '!abc:example.org')).toEqual({
    serverName: 'example.org:8448',
    roomId: '!abc:example.org',
  })
  expect(() => given('a..b', '!abc')).toThrow('serverName must be a server name')
  expect(() => given('a', '#abc:b')).toThrow('roomId must be a room id')
})

test('What must not be empty is refused when it is, and may be left out', () => {
  const search = { search_term: text({ description: 'What to look for.', fallback: null, refusesEmpty: true }) }
  expect(readParameters(search, () => [])).toEqual({ search_term: null })
  expect(() => readParameters(search, () => [''])).toThrow('search_term must not be empty')
})

test('Members of a body are texts, and read like parameters', () => {
  const body = { purpose: oneOf(['none', 'pinned'], { description: 'What for.' }) }
  expect(readMembers(body, { purpose: 'pinned', other: 1 })).toEqual({ purpose: 'pinned' })
  for (const purpose of [1, null, {}, ['pinned']]) {
    expect(() => readMembers(body, { purpose })).toThrow('purpose must be a text')
  }
  expect(() => readMembers(body, { purpose: 'kept' })).toThrow('purpose must be one of none, pinned')
  expect(() => readMembers(body, {})).toThrow(expect.objectContaining({ reason: 'missing_parameter' }))
})
