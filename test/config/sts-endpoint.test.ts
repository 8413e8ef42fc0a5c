/** `sts_endpoint:`, as docs/aws-facade.md shows it, and what is refused. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { settingsShape } from '../../src/config/settings.ts'

const aws = { type: 'aws-sts', region: 'eu-central-1' }
const load = (sts_endpoint: unknown) =>
  settingsShape.safeParse({
    listen: { host: '127.0.0.1', port: 0 },
    public_url: 'http://127.0.0.1:8480',
    ...{ ledger: { type: 'sqlite', path: 'data/mayfly.db' }, kek_file: 'data/kek' },
    ...{ attestors: {}, issuers: { aws, jwt: { type: 'signed-jwt' } }, sts_endpoint },
  })
const problems = (given: unknown) =>
  load(given).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? []

test('what the documentation shows is accepted, and is at /sts where it does not say', async () => {
  const text = await readFile(new URL('../../docs/aws-facade.md', import.meta.url), 'utf8')
  const shown = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(match => parse(match[1]!))
  const { sts_endpoint } = shown.find(piece => piece.sts_endpoint !== undefined)
  expect(load(sts_endpoint).data?.sts_endpoint).toEqual({ path: '/sts', issuers: ['aws'] })
  expect(load({ issuers: ['aws'] }).data?.sts_endpoint).toEqual({ path: '/sts', issuers: ['aws'] })
  for (const path of ['/', '/aws/sts', '/v10']) expect(problems({ path, issuers: ['aws'] })).toEqual([])
})

test('an issuer that is none, or not of AWS, is named', () => {
  expect(problems({ issuers: ['aws', 'other', 'jwt'] })).toEqual([
    'sts_endpoint.issuers.1: expected an issuer of type aws-sts: aws',
    'sts_endpoint.issuers.2: expected an issuer of type aws-sts: aws',
  ])
  expect(problems({ issuers: [] })).toHaveLength(1)
  expect(problems({})).toHaveLength(1)
})

test.each([
  'sts',
  '/sts/',
  '/STS',
  '/a b',
  '/../v1',
  '/.well-known',
  '/v1',
  '/v1/tasks',
  '/oauth/token',
  '/sts/exchange',
  '//',
])('the path %s is refused', path => {
  expect(problems({ path, issuers: ['aws'] })).toHaveLength(1)
})
