import { atStart, flag, option, section, text } from '../option.ts'

const never = { ...atStart, noEffect: 'measures MMR’s Go program; accepted and ignored for good' } as const

export const pgo = section('Profiles of MMR’s Go program. Accepted and ignored.', {
  enabled: option(flag(), false, { ...never, description: 'Ignored.' }),
  submitUrl: option(text(), '', { ...never, description: 'Ignored.' }),
  submitKey: option(text(), '', { ...never, secret: true, description: 'Ignored.' }),
})
