import { z } from 'zod'
import { mainOnly, option, section } from '../option.ts'

const planned = { ...mainOnly, planned: true } as const
const open = () => z.record(z.string(), z.unknown())

export const moderation = section('Judging what is uploaded and fetched.', {
  hashLists: option(z.array(z.unknown()), [], { ...planned, description: 'Lists of hashes of files to refuse.' }),
  clamd: option(open(), {}, { ...planned, description: 'Scanning for viruses by ClamAV’s daemon.' }),
  hooks: option(z.array(z.unknown()), [], { ...planned, description: 'Services that are asked about each file.' }),
  perceptual: option(open(), {}, { ...planned, description: 'Recognising pictures that look alike.' }),
})
