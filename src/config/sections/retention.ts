import { z } from 'zod'
import { mainOnly, needed, option, section, text, whole } from '../option.ts'

const rule = z.object({
  olderThanDays: needed(whole({ min: 1 }), {
    ...mainOnly,
    example: 365,
    description: 'Only files that nobody has downloaded for so many days; uploading counts as well.',
  }),
  largerThanBytes: option(whole({ min: 0 }), 0, {
    ...mainOnly,
    example: 104_857_600,
    description: 'Only files larger than this, in bytes.',
  }),
  types: option(z.array(text()), [], {
    ...mainOnly,
    example: ['video/*'],
    description:
      'Only files that their senders say are of these types, with * for anything; empty = all. Files of encrypted rooms are application/octet-stream.',
  }),
  users: option(z.array(text()), [], {
    ...mainOnly,
    example: ['@*:example.org'],
    description: 'Only what these users uploaded, with * for anything; empty = all.',
  }),
  servers: option(z.array(text()), [], {
    ...mainOnly,
    example: ['example.org'],
    description: 'Only media of these homeservers of yours, with * for anything; empty = all.',
  }),
})

export const retention = section('How long files of our own users are kept: for ever, unless a rule says otherwise.', {
  local: option(z.array(rule), [], {
    ...mainOnly,
    description:
      'Rules for removing files of our own users, for good. A file goes when all that one rule says holds for it, unless it is pinned or quarantined. `cellarium retention` shows what would go.',
  }),
})
