import { z } from 'zod'
import { atStart, flag, needed, option, section, text, whole } from '../option.ts'

const planned = { ...atStart, planned: true } as const

const shard = z.object({
  name: option(text(), '', { ...planned, example: 'server1', description: 'Its name.' }),
  addr: needed(text(), { ...planned, example: 'localhost:6379', description: 'Host and port.' }),
})

export const redis = section('Redis, for many instances on one database. Never needed.', {
  enabled: option(flag(), false, { ...planned, description: 'Use it.' }),
  databaseNumber: option(whole({ min: 0 }), 0, { ...planned, description: 'Number of the Redis database.' }),
  shards: option(z.array(shard), [], { ...planned, description: 'The servers.' }),
})
