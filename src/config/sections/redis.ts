import { z } from 'zod'
import { complain, flag, mainOnly, needed, option, section, text, textThat, whole } from '../option.ts'

const ADDRESS = /^(?:\[[^\]]+\]|[^:[\]\s]*)(?::\d{1,5})?$/

const shard = z.object({
  name: option(text(), '', {
    ...mainOnly,
    example: 'server1',
    description: 'Its name, the same on every instance: it decides which keys are kept there. Empty: its address.',
  }),
  addr: needed(
    textThat((value) => ADDRESS.test(value) && value !== '', 'must be host:port, such as localhost:6379'),
    { ...mainOnly, example: 'localhost:6379', description: 'Host and port; 6379 if there is none.' },
  ),
})

const shards = z.array(shard).superRefine((list, context) => {
  const names = list.map(({ name, addr }) => name || addr)
  for (const [index, name] of names.entries()) {
    const first = names.indexOf(name)
    if (first !== index) {
      complain(context, [index, 'name'], `${name} is already the name of redis.shards[${first}]; give it its own`)
    }
  }
})

export const redis = section('Redis, for many instances, or for repositories that share fetched files. Never needed.', {
  enabled: option(flag(), false, { ...mainOnly, description: 'Use it.' }),
  databaseNumber: option(whole({ min: 0 }), 0, { ...mainOnly, description: 'Number of the Redis database.' }),
  username: option(text(), '', { ...mainOnly, description: 'User to log in as (Redis ACL). Empty: the default user.' }),
  password: option(text(), '', { ...mainOnly, secret: true, description: 'Password. Empty: none.' }),
  tls: section('TLS to the servers.', {
    enabled: option(flag(), false, { ...mainOnly, description: 'Speak TLS, and check the certificates.' }),
    caPath: option(text(), '', {
      ...mainOnly,
      description: 'PEM file of the authority that signed them. Empty: those that Node knows.',
    }),
  }),
  shards: option(shards, [], { ...mainOnly, description: 'The servers. All of them have the same login.' }),
  objectSeconds: option(whole({ min: 1, max: 86_400 }), 900, {
    ...mainOnly,
    description: 'How long small objects are kept there, in seconds.',
  }),
  maxObjectBytes: option(whole({ min: 0, max: 16_777_216 }), 1_048_576, {
    ...mainOnly,
    description: 'Largest object kept there, in bytes; 0: none.',
  }),
  remoteSeconds: option(whole({ min: 1, max: 86_400 }), 900, {
    ...mainOnly,
    description: 'How long files of other servers are kept there for repositories with another database, in seconds.',
  }),
  maxRemoteBytes: option(whole({ min: 0, max: 1_073_741_824 }), 33_554_432, {
    ...mainOnly,
    description: 'Largest file of another server that is kept there for other repositories, in bytes; 0: none.',
  }),
})
