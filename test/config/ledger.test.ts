import { describe, expect, test } from 'vitest'
import { loadSettings } from '../../src/config.ts'
import { BadAddress, parsePostgresUrl } from '../../src/store/postgres-address.ts'
import { types } from './fake-types.ts'
import { memoryFiles } from './memory-files.ts'
import { places, problemsOf } from './refused.ts'

const load = (...ledger: string[]) => {
  const text = `listen: { host: 127.0.0.1, port: 8480 }
public_url: http://127.0.0.1:8480
kek_file: kek
attestors: {}
issuers: {}
ledger:
  type: postgres
${ledger.map(line => `  ${line}\n`).join('')}`
  return loadSettings('conf/mayfly.yaml', memoryFiles({ 'conf/mayfly.yaml': text }), types)
}

describe('a shared ledger', () => {
  test('is named by a URL without a password, or by a file with one', async () => {
    const { settings } = await load('url: postgres://mayfly@db.example.com/mayfly')
    expect(settings.ledger).toMatchObject({ type: 'postgres', connections: 24 })
    const { settings: byFile } = await load('url_file: secret/url', 'ca_file: ca.pem', 'connections: 4')
    expect(byFile.ledger).toEqual({
      type: 'postgres',
      url_file: 'conf/secret/url',
      ca_file: 'conf/ca.pem',
      connections: 4,
    })
  })

  test.each([
    [['connections: 4'], '6:1 ledger'],
    [['url: postgres://m@h/d', 'url_file: f'], '6:1 ledger'],
    [['url: postgres://m:s3cr3t@h/d'], '8:3 ledger.url'],
    [['url: mysql://m@h/d'], '8:3 ledger.url'],
    [['url_file: f', 'connections: 1'], '9:3 ledger.connections'],
    [['url_file: f', 'path: p'], '9:3 ledger.path'],
  ])('%j is refused, without repeating it', async (lines, place) => {
    const problems = await problemsOf(load(...lines))
    expect(places(problems)).toEqual([place])
    expect(JSON.stringify(problems)).not.toContain('s3cr3t')
  })
})

describe('the URL of a PostgreSQL', () => {
  test.each([
    ['postgres://u:p%40ss@db.example.com:6432/ledger\n', ['db.example.com', 6432, 'u', 'p@ss', 'ledger', {}]],
    ['postgresql://u@db/l?sslmode=verify-full', ['db', 5432, 'u', undefined, 'l', {}]],
    ['postgres://u@10.0.0.9/l?sslmode=disable', ['10.0.0.9', 5432, 'u', undefined, 'l', false]],
    ['postgres://u@127.0.0.1/l', ['127.0.0.1', 5432, 'u', undefined, 'l', false]],
    ['postgres://u@[::1]/l', ['::1', 5432, 'u', undefined, 'l', false]],
    ['postgres://u@[2001:db8::1]/l', ['2001:db8::1', 5432, 'u', undefined, 'l', {}]],
    ['postgres://u@localhost/l?host=/run/pg', ['/run/pg', 5432, 'u', undefined, 'l', false]],
    ['postgres://u@localhost.example.com/l', ['localhost.example.com', 5432, 'u', undefined, 'l', {}]],
  ])('%s', (url, expected) => {
    const { host, port, user, password, database, tls } = parsePostgresUrl(url)
    expect([host, port, user, password, database, tls]).toEqual(expected)
  })

  test.each([
    '',
    'db.example.com',
    'https://u@h/d',
    'postgres://h/d',
    'postgres://u@h',
    'postgres://u@h/',
    'postgres:///d',
    'postgres://u:%zz@h/d',
    'postgres://u@h/d?sslmode=require',
    'postgres://u@h/d?sslmode=no-verify',
    'postgres://u@h/d?host=elsewhere',
    'postgres://u@h/d?options=-c%20fsync%3Doff',
  ])('%j is refused', url => {
    expect(() => parsePostgresUrl(url)).toThrow(BadAddress)
  })
})
