import { anywhere, flag, option, section } from '../option.ts'

export const identicons = section('Generated pictures for users and rooms that have none.', {
  enabled: option(flag(), true, { ...anywhere, description: 'Offer them.' }),
})
