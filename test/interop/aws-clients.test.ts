/** Debian's AWS CLI and boto3, unchanged, at the STS endpoint; and a newer CLI, where the machine has one. */
import { execFile, execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { BUCKET, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'

const run = promisify(execFile)
const DEBIANS = '/usr/bin/aws'

let installation: Installation
let broker: RunningServer
beforeAll(async () => {
  installation = await createInstallation({ settings: { sts_endpoint: { issuers: ['aws'] } } })
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const endpoint = () => `${broker.url}/sts`
const token = () => installation.jobToken({ jti: randomUUID() })
const environment = (more: Record<string, string> = {}) => ({
  ...{ PATH: process.env.PATH ?? '', HOME: installation.directory, AWS_REGION: 'eu-central-1' },
  ...{ AWS_DEFAULT_REGION: 'eu-central-1', AWS_EC2_METADATA_DISABLED: 'true', AWS_PAGER: '' },
  ...more,
})

/** What is printed, or what is said on the way out. */
async function said(command: string, args: string[], env: Record<string, string>): Promise<string> {
  try {
    return (await run(command, args, { env })).stdout
  } catch (error) {
    return (error as { stderr: string }).stderr
  }
}

const assume = (given: string) => [
  ...['sts', 'assume-role-with-web-identity', '--endpoint-url', endpoint(), '--output', 'json'],
  ...['--role-arn', installation.roleArn, '--role-session-name', 'build', '--web-identity-token', given],
]
/** What S3 holds, by this command with this environment; or what is said on the way out. */
async function read(command: string, env: Record<string, string>): Promise<string> {
  const file = join(installation.directory, 'read.txt')
  const where = ['--endpoint-url', installation.aws.url, '--bucket', BUCKET, '--key', 'build.txt', file]
  const answer = await said(command, ['s3api', 'get-object', ...where], env)
  return existsSync(file) ? readFile(file, 'utf8').finally(() => rm(file)) : answer
}

describe.skipIf(!existsSync(DEBIANS))('the AWS CLI of Debian', () => {
  test('assumes the role, uses the session, and says who it is', async () => {
    const answer = JSON.parse(await said(DEBIANS, assume(await token()), environment()))
    const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = answer.Credentials
    expect(Date.parse(Expiration)).toBeGreaterThan(Date.now() + 3_500_000)
    const session = environment({
      ...{ AWS_ACCESS_KEY_ID: AccessKeyId, AWS_SECRET_ACCESS_KEY: SecretAccessKey },
      AWS_SESSION_TOKEN: SessionToken,
    })
    expect(await read(DEBIANS, session)).toBe('built')
    const who = await said(DEBIANS, ['sts', 'get-caller-identity', '--endpoint-url', endpoint()], session)
    expect(JSON.parse(who)).toMatchObject({ Account: '123456789012', Arn: answer.AssumedRoleUser.Arn })
  })

  test('shows what was wrong', async () => {
    expect(await said(DEBIANS, assume('e30.e30.AAAA'), environment())).toMatch(
      /\(InvalidIdentityToken\).*get a fresh one for each call/,
    )
    const denied = assume(await installation.jobToken({ jti: randomUUID(), ref: 'refs/heads/other' }))
    expect(await said(DEBIANS, denied, environment())).toMatch(/\(AccessDenied\).*decision dec_/)
  })
})

const BOTO3 = `
import sys, boto3
sts = boto3.client('sts', endpoint_url=sys.argv[1])
given = dict(RoleArn=sys.argv[2], RoleSessionName='boto', WebIdentityToken=sys.argv[3], DurationSeconds=900)
keys = sts.assume_role_with_web_identity(**given)['Credentials']
try:
    sts.assume_role_with_web_identity(**{**given, 'RoleSessionName': 'again'})
except sts.exceptions.InvalidIdentityTokenException as error:
    print(error.response['Error']['Code'], error.response['ResponseMetadata']['RetryAttempts'])
s3 = boto3.client('s3', endpoint_url=sys.argv[4], aws_access_key_id=keys['AccessKeyId'],
    aws_secret_access_key=keys['SecretAccessKey'], aws_session_token=keys['SessionToken'])
print(s3.get_object(Bucket=sys.argv[5], Key='build.txt')['Body'].read().decode())
`
const hasBoto3 = () => {
  try {
    execFileSync('/usr/bin/python3', ['-c', 'import boto3'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

test.skipIf(!hasBoto3())(
  'boto3 of Debian: a session, and a used token, which it does not try again',
  async () => {
    const args = ['-c', BOTO3, endpoint(), installation.roleArn, await token(), installation.aws.url, BUCKET]
    expect(await said('/usr/bin/python3', args, environment())).toBe('InvalidIdentityToken 0\nbuilt\n')
  },
)

/** botocore reads AWS_ENDPOINT_URL_STS from 1.31 on, and the second version of the CLI from 2.13 on. */
const readsEnvironment = () => {
  try {
    const version = execFileSync('aws', ['--version'], { encoding: 'utf8' })
    const [, cli = '0', minor = '0'] = /aws-cli\/(\d+)\.(\d+)/.exec(version) ?? []
    return cli === '2' ? Number(minor) >= 13 : cli === '1' && Number(minor) >= 29
  } catch {
    return false
  }
}

test.skipIf(!readsEnvironment())('a newer CLI finds the endpoint in its environment', async () => {
  const path = join(installation.directory, 'token')
  const file = async () => {
    await writeFile(path, await token())
    return environment({
      ...{ AWS_WEB_IDENTITY_TOKEN_FILE: path, AWS_ROLE_ARN: installation.roleArn },
      AWS_ENDPOINT_URL_STS: endpoint(),
    })
  }
  expect(await read('aws', await file())).toBe('built')
  const who = JSON.parse(await said('aws', ['sts', 'get-caller-identity'], await file()))
  expect(who).toMatchObject({ Arn: expect.stringMatching(/assumed-role\/deploy\/lse_/) })
})
