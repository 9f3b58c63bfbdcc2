/** The configurations that `docs/reverse-proxy.md` gives administrators, for tests that start proxies with them. */
import { readFile } from 'node:fs/promises'

/** The fenced block of this language: the proxy's whole configuration (or the only block of a page), or what offload adds to it. */
export async function documentedBlock(
  language: string,
  part: 'whole' | 'offload' = 'whole',
  file: 'reverse-proxy.md' | 'synapse-admin-api.md' = 'reverse-proxy.md',
): Promise<string> {
  const page = await readFile(new URL(`../../docs/${file}`, import.meta.url), 'utf8')
  const blocks = [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(?<text>.*?)^\`\`\`$`, 'gms'))]
  const block = blocks[part === 'whole' ? 0 : 1]?.groups?.['text']
  if (!block) throw new Error(`docs/${file} has no block marked ${language} for ${part}`)
  return block
}

/** Puts something else in the place of each; each has to be there, or the test is void. */
export function adapt(text: string, replacements: readonly (readonly [RegExp, string])[]): string {
  return replacements.reduce((adapted, [documented, ours]) => {
    if (!documented.test(adapted)) throw new Error(`docs/reverse-proxy.md no longer has ${String(documented)}`)
    return adapted.replace(documented, () => ours)
  }, text)
}
