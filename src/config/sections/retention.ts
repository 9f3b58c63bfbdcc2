import { z } from 'zod'
import { mainOnly, option, section, text, whole } from '../option.ts'

const planned = { ...mainOnly, planned: true } as const

const rule = z.object({
  olderThanDays: option(whole({ min: 0 }), 0, { ...planned, example: 365, description: 'Only files older than this.' }),
  largerThanBytes: option(whole({ min: 0 }), 0, {
    ...planned,
    example: 104_857_600,
    description: 'Only files larger than this.',
  }),
  types: option(z.array(text()), [], {
    ...planned,
    example: ['video/*'],
    description: 'Only these types; empty = all.',
  }),
  users: option(z.array(text()), [], {
    ...planned,
    example: ['@*:example.org'],
    description: 'Only of these users; empty = all.',
  }),
})

export const retention = section('How long files are kept.', {
  local: option(z.array(rule), [], { ...planned, description: 'Rules for removing files of our own users.' }),
})
