/** The settings that docs/github.md shows are settings that load. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { issuerTypes } from '../issuers/index.ts'
import { settingsShape } from '../src/config/settings.ts'

test('every piece of configuration in docs/github.md is accepted', async () => {
  const text = await readFile(new URL('../docs/github.md', import.meta.url), 'utf8')
  const pieces = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(match => parse(match[1]!))
  const shown = pieces.flatMap(piece => Object.entries(piece.observers ?? {}))
  expect(shown.map(([name]) => name)).toEqual(['github_webhooks', 'github_poll', 'verify_job_running'])
  for (const [name, value] of shown) settingsShape.shape.observers.parse({ [name]: value })
  const { settings } = issuerTypes.find(({ type }) => type === 'github-app')!
  const issuers = pieces.flatMap(piece => Object.values<{ type: string }>(piece.issuers ?? {}))
  expect(issuers.length).toBeGreaterThan(1)
  for (const { type: _, ...rest } of issuers) settings.parse(rest)
})
