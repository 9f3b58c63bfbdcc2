import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { oEmbedScheme } from '../lib/oembed-scheme.ts'
import { ConfigError } from '../lib/errors.ts'
import { fileTrouble } from './files.ts'
import type { HomeserverConfig } from './schema.ts'

/** Who answers oEmbed requests for which addresses: `providers.json` of oembed.com, and files in the same form. */
export type OEmbedProviderList = z.output<typeof providerList>

const endpoint = z.object({
  url: z
    .string()
    .refine(isEndpoint, 'an address like https://example.org/oembed or https://example.org/oembed.{format}'),
  schemes: z.array(z.string().refine(isScheme, 'an address like https://*.example.org/photos/*')).default([]),
})

const providerList = z.array(z.object({ provider_name: z.string().default(''), endpoints: z.array(endpoint).min(1) }))

/** The list of a file. Throws ConfigError with all that is wrong with it. */
export async function readOEmbedProviders(file: string): Promise<OEmbedProviderList> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new ConfigError([`${file}: ${fileTrouble(error)}`])
  })
  const parsed = providerList.safeParse(jsonOf(file, text), { reportInput: true })
  if (parsed.success) return parsed.data
  throw new ConfigError(parsed.error.issues.map((issue) => `${file}: ${placeIn(issue.path)}: ${sentence(issue)}`))
}

/** What is wrong with the files that homeservers name in `urlPreviews.oEmbedProviders`. */
export async function oEmbedProblems(homeservers: readonly Pick<HomeserverConfig, 'urlPreviews'>[]): Promise<string[]> {
  const files = new Set(homeservers.map(({ urlPreviews }) => urlPreviews.oEmbedProviders).filter((file) => file !== ''))
  const problems = await Promise.all([...files].map(problemsOf))
  return problems.flat().map((problem) => `urlPreviews.oEmbedProviders: ${problem}`)
}

async function problemsOf(file: string): Promise<readonly string[]> {
  try {
    await readOEmbedProviders(file)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

function jsonOf(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ConfigError([`${file}: is not JSON (${error instanceof Error ? error.message : String(error)})`])
  }
}

function isEndpoint(text: string): boolean {
  const url = URL.parse(text.replaceAll('{format}', 'json'))
  return (url?.protocol === 'https:' || url?.protocol === 'http:') && !/[{}*]/.test(text.replaceAll('{format}', ''))
}

/** Other kinds of addresses, such as `spotify:*`, are nothing that can be previewed, and no mistake. */
function isScheme(text: string): boolean {
  return oEmbedScheme(text) !== undefined || (/^[a-z][a-z\d+.-]*:/i.test(text) && !/^https?:/i.test(text))
}

function placeIn(path: readonly PropertyKey[]): string {
  const place = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`)).join('')
  return place === '' ? 'the whole' : place.replace(/^\./, '')
}

function sentence(issue: z.core.$ZodIssue): string {
  if (issue.code === 'custom') return `must be ${issue.message}`
  if (issue.code === 'invalid_type')
    return issue.input === undefined ? 'is missing' : `must be ${IN_WORDS[issue.expected] ?? issue.expected}`
  return issue.code === 'too_small' ? 'must not be empty' : issue.message
}

const IN_WORDS: Readonly<Record<string, string>> = { array: 'a list', object: 'an object', string: 'text' }
