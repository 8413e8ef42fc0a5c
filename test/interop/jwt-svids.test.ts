/** JWT-SVIDs signed by others: Debian's jose (C) and jwcrypto (Python), by keys of their own making. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spiffeJwt } from '../../attestors/spiffe-jwt.ts'
import { AUDIENCE, jwt, NOON, open } from '../attestors/issuer-subject.ts'

const run = promisify(execFile)
const SUBJECT = 'spiffe://acme.test/agent/coder'
const ALGORITHMS = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512'.split(' ')

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mayfly-interop-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const payload = () =>
  JSON.stringify({ sub: SUBJECT, aud: [AUDIENCE], iat: NOON / 1000, exp: NOON / 1000 + 300 })

type Signed = { token: string; publicJwk: Record<string, unknown> }

async function byJose(alg: string): Promise<Signed> {
  const [key, text] = [join(folder, `${alg}.jwk`), join(folder, 'payload.json')]
  await writeFile(text, payload())
  await run('jose', ['jwk', 'gen', '-i', JSON.stringify({ alg }), '-o', key])
  const protectedHeader = JSON.stringify({ protected: { alg, kid: alg } })
  const signed = await run('jose', ['jws', 'sig', '-I', text, '-k', key, '-s', protectedHeader, '-c', '-o-'])
  const { stdout } = await run('jose', ['jwk', 'pub', '-i', key, '-o-'])
  return { token: signed.stdout.trim(), publicJwk: JSON.parse(stdout) }
}

const SIGN = `
import json, sys
from jwcrypto import jwk, jwt
alg, claims = sys.argv[1:]
made = {'kty': 'EC', 'crv': {'256': 'P-256', '384': 'P-384', '512': 'P-521'}[alg[2:]]} if alg[0] == 'E' else {'kty': 'RSA', 'size': 2048}
key = jwk.JWK.generate(kid=alg, **made)
token = jwt.JWT(header={'alg': alg, 'kid': alg, 'typ': 'JWT'}, claims=json.loads(claims))
token.make_signed_token(key)
print(json.dumps({'token': token.serialize(), 'publicJwk': json.loads(key.export_public())}))
`

async function byJwcrypto(alg: string): Promise<Signed> {
  const { stdout } = await run('/usr/bin/python3', ['-c', SIGN, alg, payload()])
  return JSON.parse(stdout)
}

/** As a bundle has it: `use` says what for, and the key's own marks are its maker's. */
async function attest({ token, publicJwk }: Signed, alg: string) {
  const { key_ops: _, ...rest } = publicJwk
  const bundle = JSON.stringify({ keys: [{ ...rest, kid: alg, use: 'jwt-svid' }], spiffe_sequence: 1 })
  await writeFile(join(folder, 'bundle.json'), bundle)
  const settings = { trust_domain: 'acme.test', audience: AUDIENCE, bundle_file: 'bundle.json' }
  const readFrom = { now: () => NOON, readFile: () => readFile(join(folder, 'bundle.json'), 'utf8') }
  return open(spiffeJwt, settings, readFrom).attest(jwt(token))
}

const runs = (command: string, ...args: string[]) => spawnSync(command, args).status === 0

describe.each([
  ['jose', byJose, runs('jose', 'alg')],
  ['jwcrypto', byJwcrypto, runs('/usr/bin/python3', '-c', 'import jwcrypto')],
] as const)('%s', (_name, sign, isThere) => {
  test.skipIf(!isThere).each(ALGORITHMS)('%s', async alg => {
    const signed = await sign(alg)
    expect(await attest(signed, alg)).toMatchObject({ ok: true, proof: { subject: SUBJECT } })
    const [header, , signature] = signed.token.split('.')
    const other = Buffer.from(payload().replace('coder', 'admin')).toString('base64url')
    expect(await attest({ ...signed, token: `${header}.${other}.${signature}` }, alg)).toMatchObject({
      rejection: 'signature_invalid',
    })
  })
})
