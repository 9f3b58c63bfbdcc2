import { atStart, option, section, whole } from '../option.ts'

export const tasks = section('Work in the background.', {
  numWorkers: option(whole({ min: 1 }), 5, { ...atStart, planned: true, description: 'Most tasks at a time.' }),
})
