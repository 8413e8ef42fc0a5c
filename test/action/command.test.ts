/** What a command of the action finds: its credentials, and nothing to get others with. */
import { expect, test } from 'vitest'
import { commandEnvironment } from '../../action/src/command.ts'
import type { Minted } from '../../action/src/outputs.ts'
import { Credential } from '../../src/client/credential.ts'
import { WITHHELD_VARIABLES } from '../../src/sidecar/variables.ts'

const session = { AccessKeyId: 'ASIA', SecretAccessKey: 'secret', SessionToken: 'session' }
const given: [Minted['kind'], { type: string; [member: string]: unknown }, unknown][] = [
  ['token', { type: 'github', repository_ids: [1], permissions: { contents: 'read' } }, 'ghs_x'],
  ['aws', { type: 'aws', role: 'r', statements: [] }, session],
  ['jwt', { type: 'jwt', audience: 'x' }, 'eyJ'],
  ['other', { type: 'payments.db-one', database: 'orders' }, { user: 'u', password: 'p' }],
]
const AWS_OTHERS = [
  ...['AWS_PROFILE', 'AWS_DEFAULT_PROFILE', 'AWS_SECURITY_TOKEN', 'AWS_CREDENTIAL_EXPIRATION'],
  ...['AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_ROLE_ARN', 'AWS_ROLE_SESSION_NAME'],
  ...['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_CONTAINER_CREDENTIALS_FULL_URI'],
  ...['AWS_CONTAINER_AUTHORIZATION_TOKEN', 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'],
]
const OTHERS = ['AWS_REGION', 'GITHUB_SHA', 'PATH']
const env = Object.fromEntries([...WITHHELD_VARIABLES, ...AWS_OTHERS, ...OTHERS].map(name => [name, 'set']))

const kept = { AWS_REGION: 'set', GITHUB_SHA: 'set', PATH: 'set' }
const withoutAws = {
  ...{ ...kept, GH_TOKEN: 'ghs_x', GITHUB_TOKEN: 'ghs_x', MAYFLY_TOKEN_JWT: 'eyJ' },
  MAYFLY_TOKEN_PAYMENTS__DB_ONE: '{"user":"u","password":"p"}',
}

test('no other way to AWS than the session, where there is one', () => {
  const session = { AWS_ACCESS_KEY_ID: 'ASIA', AWS_SECRET_ACCESS_KEY: 'secret', AWS_SESSION_TOKEN: 'session' }
  expect(environment(given, undefined)).toEqual({ ...withoutAws, ...session })
  const region = { AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'eu-west-1' }
  expect(environment(given, 'eu-west-1')).toEqual({ ...withoutAws, ...session, ...region })
})

test('the job has its own AWS, where none was asked for', () => {
  const others = Object.fromEntries(AWS_OTHERS.map(name => [name, 'set']))
  const without = given.filter(([kind]) => kind !== 'aws')
  expect(environment(without, 'eu-west-1')).toEqual({ ...withoutAws, ...others })
})

function environment(all: typeof given, region: string | undefined) {
  const ofAction = { GITHUB_STATE: 'x', INPUT_URL: 'x', STATE_token: 'x', ACTIONS_RUNTIME_TOKEN: 'x' }
  const minted = all.map(
    ([kind, ask, value]): Minted => ({ kind, ask, credential: credentialOf(ask, value) }),
  )
  return commandEnvironment({ ...env, ...ofAction }, minted, { region })
}

function credentialOf(ask: Minted['ask'], credential: unknown): Credential {
  const expiresAt = new Date(0)
  const about = { lease: 'lse', ask: 'ask', issuer: ask.type, authorizationDetails: ask, details: {} }
  return new Credential(ask, {
    ...{ ...about, credential, revocability: 'immediate', expiresAt, providerExpiresAt: expiresAt },
  })
}
