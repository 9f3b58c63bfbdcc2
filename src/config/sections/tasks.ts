import { atStart, mainOnly, option, section, whole } from '../option.ts'

export const tasks = section('Work in the background.', {
  numWorkers: option(whole({ min: 1 }), 5, {
    ...atStart,
    description: 'Most tasks that an instance works on at a time; those of one kind come one after the other.',
  }),
  keepDays: option(whole({ min: 0 }), 365, {
    ...mainOnly,
    description: 'How many days a task stays in the list after its end; 0: for good.',
  }),
})
