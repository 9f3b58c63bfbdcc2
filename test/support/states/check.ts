/** Gets media into the state of a row, and compares what both instances answer on every path with what the row says. */
import { expect } from 'vitest'
import { type Again, noted, preview, sendAgain } from './again.ts'
import { ADMIN, type Instance, type Pair } from './pair.ts'
import { DOWNLOAD, PATHS, type Path, read, SERVED, type Who } from './paths.ts'
import { OF_ANOTHER, type State, TO_ALL } from './row.ts'
import { type Scene, startScene } from './scene.ts'

/** Rejects with all that is otherwise than the row says. */
export async function checkState(pair: Pair, row: State): Promise<void> {
  const scene = await startScene(pair, row.of, await row.bytes?.())
  await using cleanup = new AsyncDisposableStack()
  cleanup.defer(async () => void (await row.restore?.(scene)))
  const { here, there, subject, uploader } = scene
  if (row.before !== 'not asked for') {
    // Fetched, if it is another server's: those who wait for a fetch do not yet keep what they are told.
    for (const instance of [here, there]) await read(pair, instance, DOWNLOAD, subject)
    const before = row.before ?? (row.of === 'remote' ? OF_ANOTHER.told : TO_ALL.told)
    expectAll('before', await readAll(scene, isNoCopy), expected(scene, before, isNoCopy))
  }
  await row.reach(scene)
  const { told } = row
  expectAll('at once, on both', await readAll(scene, isFor(row)), expected(scene, told, isFor(row), row.again))
  const by = row.of === 'upload' ? uploader.userId : undefined
  const both = (one: unknown) => ({ [here.name]: one, [there.name]: one })
  const says = async (instance: Instance) => await noted(instance, subject, by)
  expect({ [here.name]: await says(here), [there.name]: await says(there) }).toEqual(both(row.noted))
  const again = {
    [there.name]: await sendAgain(pair, there, here, subject),
    [here.name]: await sendAgain(pair, here, there, subject),
  }
  expect(again, 'the same bytes, once more').toEqual(both(row.again))
  await row.after?.(scene)
  if (row.deleted) await checkDeleted(scene, row.deleted)
}

/** Its deletion, after all that was tried before. */
async function checkDeleted(scene: Scene, [answer, afterwards]: NonNullable<State['deleted']>): Promise<void> {
  const { there, subject } = scene
  const path = `/_matrix/media/unstable/download/${subject.media}`
  const { status } = await there.ask({ path, method: 'DELETE', token: ADMIN.token })
  expect(status, 'the answer to DELETE').toBe(Number(answer.split(' ')[0]))
  const told = { users: afterwards, anybody: '', servers: '', bypass: '' }
  expectAll('deleted', await readAll(scene, isOfUsers), expected(scene, told, isOfUsers))
}

const isOfUsers = ({ who, copies }: Path) => who === 'users' && !copies
const isNoCopy = ({ copies }: Path) => !copies
/** Copies are made of other servers' media only, and there are media that nobody can make thumbnails of. */
const isFor =
  ({ of, isNoPicture }: State) =>
  ({ copies, who, name }: Path) =>
    (!copies || of.startsWith('remote')) && !(isNoPicture && who === 'bypass' && name.includes('thumbnail'))

type Answers = Readonly<Record<string, string>>

/** Asserts that all is as it should be, and shows what is not. */
function expectAll(when: string, answers: Answers, should: Answers): void {
  const others = Object.entries(answers).filter(([name, answer]) => answer !== should[name])
  expect(Object.fromEntries(others.map(([name, answer]) => [name, `${answer}, not ${should[name]}`])), when).toEqual({})
  expect(Object.keys(answers), when).toEqual(Object.keys(should))
}

/** Asks both instances on all these paths at once. */
async function readAll({ pair, here, there, subject }: Scene, isMeant: (path: Path) => boolean): Promise<Answers> {
  const asked = [here, there].flatMap((instance) => [
    ...PATHS.filter(isMeant).map(async (path) => [nameOf(instance, path), await read(pair, instance, path, subject)]),
    ...(subject.page === undefined ? [] : [shown(instance, subject.page, subject.media)]),
  ])
  return Object.fromEntries(await Promise.all(asked)) as Answers
}

/** Whether the preview of a page that had it as its picture has it. */
async function shown(instance: Instance, page: string, media: string): Promise<[string, string]> {
  const picture = await preview(instance, page)
  return [`${instance.name}: preview_url`, picture === media ? SERVED : `picture: ${picture}`]
}

function expected(
  { here, there, subject }: Scene,
  told: Readonly<Record<Who, string>>,
  isMeant: (path: Path) => boolean,
  again?: Again,
): Answers {
  const all = [here, there].flatMap((instance) => [
    ...PATHS.filter(isMeant).map((path) => [nameOf(instance, path), toldOn(path, told[path.who], again)]),
    ...(subject.page === undefined
      ? []
      : [[`${instance.name}: preview_url`, told.users === SERVED ? SERVED : 'picture: undefined']]),
  ])
  return Object.fromEntries(all) as Answers
}

const nameOf = ({ name }: Instance, path: Path) => `${name}: ${path.name}`

/** A refused HEAD has no body to say why; and who may have some content may not always upload it. */
function toldOn({ name, copies }: Path, told: string, again: Again | undefined): string {
  if (copies && told === SERVED && again) return again.upload
  return name.startsWith('HEAD') && told !== SERVED ? told.slice(0, 3) : told
}
