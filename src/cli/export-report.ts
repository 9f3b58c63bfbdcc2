import { exportedIn, type Outcome, problemsBy, type Tally } from '../exports/tally.ts'
import { summaryOf } from './tally-report.ts'

const WORDS: Readonly<Record<Outcome, string>> = {
  linked: 'brought there by a link',
  copied: 'brought there by a copy',
  completed: 'given a row there: their files were there already',
  restored: 'given back the files that they had lost there',
  known: 'there already',
  blocked: 'blocked there: quarantined, and without a file',
  found: 'would be brought there',
  verified: 'there, whole, and as they are here',
  preview: 'passed over: pictures of URL previews',
  ours: 'passed over: of another homeserver of ours',
  remote: 'passed over: of other servers',
  gone: 'deleted here, and not there',
  lost: 'lost here: their files are gone',
  damaged: 'damaged: their files are not what the records say',
  unreadable: 'unreadable',
  refused: 'nothing that Synapse could have',
  other_content: 'there with other content, which was kept',
  occupied: 'not brought: another file is in their place',
  deleted: 'deleted here, and still there',
  not_exported: 'not there yet',
  missing: 'there without their files',
  differs: 'there, but less protected than here',
}

/** What an export came to, in lines for people. */
export const exportSummary = (tally: Tally): string[] => summaryOf(tally, WORDS)

/** The same for the last line of the log. */
export const exportFields = (tally: Tally) => ({
  records: tally.rows,
  exported: exportedIn(tally),
  ...problemsBy(tally),
})
