import { z } from 'zod'
import { mainOnly, needed, option, text } from '../option.ts'

const noEffect = 'plugins of matrix-media-repo cannot run here; use moderation.hooks instead (docs/moderation.md)'

const plugin = z.object({
  exec: needed(text(), { ...mainOnly, noEffect, example: '/plugins/antispam', description: 'The program.' }),
  config: option(
    z.record(z.string(), z.unknown()),
    {},
    {
      ...mainOnly,
      noEffect,
      description: 'Its own settings, whatever they are.',
    },
  ),
})

export const plugins = option(z.array(plugin), [], {
  ...mainOnly,
  noEffect,
  description: 'Programs of matrix-media-repo’s plugin interface that judge uploads. Accepted, and never started.',
})
