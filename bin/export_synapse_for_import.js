#!/usr/bin/env node
// MMR's name of a tool that is a command of ours.
import { fileURLToPath } from 'node:url'

process.argv.splice(1, 1, fileURLToPath(new URL('cellarium.js', import.meta.url)), 'export_synapse_for_import')
await import('./cellarium.js')
