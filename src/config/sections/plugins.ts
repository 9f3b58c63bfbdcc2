import { z } from 'zod'
import { mainOnly, needed, option, text } from '../option.ts'

const planned = 'plugins of matrix-media-repo cannot run here; use moderation.hooks instead (docs/moderation.md)'

const plugin = z.object({
  exec: needed(text(), { ...mainOnly, planned, example: '/plugins/antispam', description: 'The program.' }),
  config: option(
    z.record(z.string(), z.unknown()),
    {},
    {
      ...mainOnly,
      planned,
      description: 'Its own settings, whatever they are.',
    },
  ),
})

export const plugins = option(z.array(plugin), [], {
  ...mainOnly,
  planned,
  description: 'Programs of matrix-media-repo’s plugin interface that judge uploads. Accepted, and never started.',
})
