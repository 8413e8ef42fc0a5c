import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chooseForGit, type GitAsk } from '../../src/sidecar/git-choice.ts'
import { isOfProvider, isPrivateTarget, repositoryOfPath } from '../../src/sidecar/git-repository.ts'

describe('the repository of a path', () => {
  test.each([
    ['acme/api', 'acme/api'],
    ['acme/api.git', 'acme/api'],
    ['acme/api.git/', 'acme/api'],
    ['/acme/api', 'acme/api'],
    ['Acme/API.git', 'Acme/API'],
    ['acme/api.wiki.git', 'acme/api'],
    ['acme/api.wiki', 'acme/api'],
    ['acme/api.git/info/lfs', 'acme/api'],
    ['acme_corp/.github', 'acme_corp/.github'],
  ])('%s is of %s', (path, repository) => {
    expect(repositoryOfPath(path)).toBe(repository)
  })

  test.each([
    ...['', '/', 'acme', 'acme/', 'acme/.git', 'acme/..', 'acme/api/..', '../acme/api', '//acme/api'],
    ...['acme/api/tree/main', 'acme//api', 'acme/api.git/info/refs', 'gist/0123abcd.git', 'Gist/0123abcd'],
    ...[
      'acme/a b',
      'acme/api\n',
      'acme/ápi',
      'acme%2fapi',
      'acme/api?x',
      'acme/api#x',
      '-acme/api',
      'a@b/api',
    ],
    ...['acme/.wiki.git', `acme/${'a'.repeat(101)}`],
  ])('%j is none', path => {
    expect(repositoryOfPath(path)).toBeUndefined()
  })
})

describe('the host of a provider', () => {
  test.each([
    ['https', 'github.com', 'github.com'],
    ['https', 'GitHub.com', 'github.com'],
    ['https', 'github.com:443', 'github.com'],
    ['https', 'acme.ghe.com', 'acme.ghe.com'],
    ['http', '127.0.0.1:4711', '127.0.0.1'],
    ['http', 'localhost', 'localhost'],
    ['http', '[::1]:80', '[::1]'],
  ])('%s://%s is %s', (protocol, host, provider) => {
    expect(isOfProvider({ protocol, host }, provider)).toBe(true)
  })

  test.each([
    ['http', 'github.com'],
    ['ssh', 'github.com'],
    ['HTTPS', 'github.com'],
    ['https', 'github.com:8443'],
    ['https', 'gist.github.com'],
    ['https', 'github.com.evil.test'],
    ['https', 'evil.test#github.com'],
    ['https', 'evil.test/github.com'],
    ['https', 'user@github.com'],
    ['https', 'github.com@evil.test'],
    ['https', 'github.com\\@evil.test'],
    ['https', 'github%2ecom'],
    ['https', 'ｇithub.com'],
    ['https', 'github.com.'],
    ['https', ' github.com'],
    ['https', 'github.com:'],
    ['https', ''],
  ])('%s://%s is not github.com', (protocol, host) => {
    expect(isOfProvider({ protocol, host }, 'github.com')).toBe(false)
  })

  test('http is for this machine, in its plain spelling', () => {
    expect(isPrivateTarget({ protocol: 'http', host: '127.0.0.1:80' })).toBe(true)
    for (const host of ['127.1', '0x7f000001', '127.0.0.1.evil.test', 'localhost.evil.test', '10.0.0.1'])
      expect(isPrivateTarget({ protocol: 'http', host }), host).toBe(false)
  })
})

const github = (id: string, repositories: string[], permissions: object, more: object = {}): GitAsk => ({
  ...{ id, state: 'granted', provider: 'github.com' },
  authorization_details: {
    type: 'github',
    repositories: repositories.map(name => ({ id: 1, name })),
    permissions,
  },
  ...more,
})
const at = (path?: string) => ({ protocol: 'https', host: 'github.com', path })

describe('the ask that git means', () => {
  const read = github('read', ['acme/api', 'acme/web'], { contents: 'read' })
  const write = github('write', ['acme/api'], { contents: 'write' })
  const issues = github('issues', ['acme/docs'], { issues: 'write' })
  const jwt = { id: 'jwt', state: 'granted', authorization_details: { type: 'jwt', audience: 'x' } }
  const all = [jwt, issues, read, write]

  test('is the one that gives the most to its repository', () => {
    expect(chooseForGit(all, at('acme/api.git'))).toMatchObject({ kind: 'found', ask: { id: 'write' } })
    expect(chooseForGit(all, at('ACME/Web'))).toMatchObject({ kind: 'found', ask: { id: 'read' } })
    expect(chooseForGit(all, at('acme/api.wiki.git'))).toMatchObject({
      kind: 'found',
      repository: 'acme/api',
    })
  })

  test('of two that give the same, the one that may push workflows, then the narrower', () => {
    const wide = github('wide', ['acme/api', 'acme/web'], { contents: 'write' })
    const flows = github('flows', ['acme/api', 'acme/web'], { contents: 'write', workflows: 'write' })
    expect(chooseForGit([wide, write], at('acme/api'))).toMatchObject({ ask: { id: 'write' } })
    expect(chooseForGit([wide, write, flows], at('acme/api'))).toMatchObject({ ask: { id: 'flows' } })
  })

  test('is none for another repository, a path that is no repository, or asks without contents', () => {
    expect(chooseForGit(all, at('acme/secret'))).toMatchObject({
      kind: 'unmatched',
      repository: 'acme/secret',
    })
    expect(chooseForGit(all, at('gist/1234'))).toMatchObject({ kind: 'unmatched', repository: undefined })
    expect(chooseForGit(all, at('acme/docs'))).toMatchObject({ kind: 'contentless', repository: 'acme/docs' })
  })

  test('waits for humans, and says where more is waited for', () => {
    const pending = { ...write, state: 'pending' }
    expect(chooseForGit([pending], at('acme/api'))).toMatchObject({ kind: 'waiting', ask: { id: 'write' } })
    expect(chooseForGit([read, pending], at('acme/api'))).toMatchObject({
      ...{ kind: 'found', ask: { id: 'read' }, better: { id: 'write' } },
    })
    const denied = { ...write, state: 'denied' }
    expect(chooseForGit([denied], at('acme/api'))).toMatchObject({ kind: 'over', ask: { id: 'write' } })
    expect(chooseForGit([read, denied], at('acme/api'))).toMatchObject({ kind: 'found', ask: { id: 'read' } })
  })

  test('without a path is found only where all asks are for the same repositories', () => {
    expect(chooseForGit([write], at())).toMatchObject({ kind: 'found', ask: { id: 'write' } })
    expect(chooseForGit([write, { ...write, id: 'more' }], at(''))).toMatchObject({ kind: 'found' })
    expect(chooseForGit([read, write], at())).toMatchObject({ kind: 'unpathed' })
    expect(chooseForGit([{ ...read, state: 'denied' }, write], at())).toMatchObject({ ask: { id: 'write' } })
  })

  test('never belongs to another host', () => {
    const there = github('ghes', ['acme/api'], { contents: 'write' }, { provider: 'ghes.acme.test' })
    expect(chooseForGit([there], at('acme/api'))).toEqual({ kind: 'foreign' })
    expect(chooseForGit([{ ...write, provider: undefined }], at('acme/api'))).toEqual({ kind: 'foreign' })
    expect(chooseForGit([], at('acme/api'))).toEqual({ kind: 'foreign' })
    const both = chooseForGit([there, write], { ...at('acme/api'), host: 'ghes.acme.test' })
    expect(both).toMatchObject({ ask: { id: 'ghes' } })
  })
})

test('whatever is asked, what is found is for that host and that repository', () => {
  const asks = [
    github('a', ['acme/api'], { contents: 'write' }),
    github('b', ['acme/web', 'acme/api'], { contents: 'read' }, { state: 'pending' }),
  ]
  const part = fc.constantFrom(
    'acme',
    'api',
    'web',
    '.git',
    '.wiki',
    '/',
    '..',
    'github.com',
    ':443',
    '@',
    '\0',
  )
  const text = fc.oneof(
    fc.string(),
    fc.array(part, { maxLength: 6 }).map(parts => parts.join('')),
  )
  fc.assert(
    fc.property(fc.constantFrom('https', 'http', 'ssh', ''), text, text, (protocol, host, path) => {
      const choice = chooseForGit(asks, { protocol, host, path })
      if (choice.kind === 'foreign') return
      expect(protocol).toBe('https')
      expect(host.toLowerCase()).toMatch(/^github\.com(:443)?$/)
      if (choice.kind !== 'found' || path === '') return
      expect(path.toLowerCase()).toMatch(/^\/?acme\/(api|web)(\.wiki)?(\.git)?(\/info\/lfs)?\/?$/)
    }),
  )
})
