import { z } from 'zod'
import { mainOnly, option, text } from '../option.ts'

export const admins = option(z.array(text()), [], {
  ...mainOnly,
  example: ['@admin:example.org'],
  description: 'User ids that may use all administration of this repository, for every homeserver.',
})
