import { mainOnly, option, section, whole } from '../option.ts'

export const audit = section('The list of what administrators did.', {
  keepDays: option(whole({ min: 0, max: 36_500 }), 365, {
    ...mainOnly,
    description: 'For so many days each line is kept, with user id and address; 0 = for ever.',
  }),
})
