import { z } from 'zod'
import { mainOnly, needed, option, text } from '../option.ts'

const plugin = z.object({
  exec: needed(text(), { ...mainOnly, planned: true, example: '/plugins/antispam', description: 'The program.' }),
  config: option(
    z.record(z.string(), z.unknown()),
    {},
    {
      ...mainOnly,
      planned: true,
      description: 'Its own settings, whatever they are.',
    },
  ),
})

export const plugins = option(z.array(plugin), [], {
  ...mainOnly,
  planned: true,
  description: 'Programs of MMR’s plugin interface that judge uploads.',
})
