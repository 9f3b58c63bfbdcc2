import { z } from 'zod'
import { anywhere, option } from '../option.ts'

export const featureSupport = option(
  z.record(z.string(), z.unknown()),
  {},
  {
    ...anywhere,
    planned: 'a place for experiments of MMR; nothing in it has an effect',
    description: 'Switches of MMR’s experiments. Nothing in it has an effect.',
  },
)
