import { writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { sampleConfig } from '../config/sample.ts'
import { ConfigError } from '../lib/errors.ts'
import { VERSION } from '../lib/version.ts'
import { fromGoFlags } from './go-flags.ts'
import { serve } from './serve.ts'

interface MmrFlags {
  readonly config: string
}

/** It names databases and secrets sooner or later. */
const OWNER_ONLY = 0o600

/**
 * `media_repo` with MMR's flags: the server. As there, REPO_CONFIG wins over `-config`, and a file that is not there yet is
 * written: a sample that works as it stands, and is what an administrator then changes. (MMR behaviour 2.1, 6.1)
 */
export function mediaRepoCommand(): Command {
  const command = new Command('media_repo')
    .description('start the server (MMR’s name for `serve`, with its flags)')
    .version(VERSION, '--version', 'say the version')
    .option('--config <path>', 'file or folder; REPO_CONFIG wins over it', 'media-repo.yaml')
  for (const folder of ['migrations', 'templates', 'assets']) {
    command.option(`--${folder} <folder>`, 'accepted and ignored: they come with the program')
  }
  command.action(async ({ config }: MmrFlags) => {
    const path = process.env['REPO_CONFIG'] || config
    await writeSample(path)
    await serve({ config: path })
  })
  return fromGoFlags(command)
}

async function writeSample(path: string): Promise<void> {
  if (existsSync(path)) return
  try {
    await writeFile(path, sampleConfig(), { flag: 'wx', mode: OWNER_ONLY })
  } catch (cause) {
    const why = `${path} does not exist, and a sample cannot be written there (${String(cause)})`
    throw new ConfigError([`${why}: give a configuration with -config or REPO_CONFIG`], { cause })
  }
  console.log(`Wrote a sample configuration to ${resolve(path)}: put in your homeserver, then start again.`)
}
