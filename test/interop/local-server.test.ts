/** The AWS CLI and boto3, unchanged, at the local server of `mayfly exec`: as a container's, and by a process. */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import {
  AUDIENCE,
  BUCKET,
  createInstallation,
  type Installation,
  startBroker,
} from '../fakes/installation.ts'

const run = promisify(execFile)
const MAIN = join(import.meta.dirname, '../../src/main.ts')
const DEBIANS = '/usr/bin/aws'

let installation: Installation
let broker: RunningServer
let home: string
beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  home = join(installation.directory, 'home')
  await mkdir(join(home, '.aws'), { recursive: true })
  // Keys of the laptop's own, which must not be used instead.
  const mine = '[default]\naws_access_key_id = AKIAMINE\naws_secret_access_key = mine\n'
  await writeFile(join(home, '.aws', 'credentials'), mine)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

/** What a command prints that holds a session of the role, or all that was said where it failed. */
async function within(
  options: string[],
  command: string[],
  more: Record<string, string> = {},
): Promise<string> {
  const evidence = join(home, 'evidence')
  await writeFile(evidence, await installation.jobToken({ aud: AUDIENCE, jti: crypto.randomUUID() }))
  const ask = `aws=${installation.roleArn}#s3:GetObject@arn:aws:s3:::${BUCKET}/*`
  const args = ['exec', '--quiet', '--ask', ask, '--evidence-file', evidence, ...options, '--', ...command]
  const env = {
    ...{ PATH: process.env.PATH ?? '', HOME: home, MAYFLY_URL: broker.url, AWS_PAGER: '' },
    ...{ AWS_REGION: 'eu-central-1', AWS_DEFAULT_REGION: 'eu-central-1', ...more },
  }
  try {
    return (await run(process.execPath, [MAIN, ...args], { env, timeout: 50_000 })).stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    return stdout + stderr
  }
}

/** What S3 holds, by a session of the role. */
async function read(options: string[], aws: string, more: string[] = []): Promise<string> {
  const file = join(home, 'read.txt')
  const where = ['--endpoint-url', installation.aws.url, '--bucket', BUCKET, '--key', 'build.txt', file]
  const answer = await within(options, [aws, ...more, 's3api', 'get-object', ...where])
  return existsSync(file) ? readFile(file, 'utf8').finally(() => rm(file)) : answer
}

const BOTO3 = `
import sys, boto3
s3 = boto3.session.Session(profile_name=sys.argv[3] if len(sys.argv) > 3 else None).client('s3', endpoint_url=sys.argv[1])
for _ in range(3):
    print(s3.get_object(Bucket=sys.argv[2], Key='build.txt')['Body'].read().decode())
`
const canRun = (command: string, args: string[]) => {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A profile whose sessions come from a process; the command is run as it stands here. */
async function profile(): Promise<string> {
  const config = join(home, 'config')
  const command = `${process.execPath} ${MAIN} aws-credentials`
  await writeFile(config, `[profile mayfly]\ncredential_process = ${command}\n`)
  return config
}

describe.skipIf(!existsSync(DEBIANS))('the AWS CLI of Debian', () => {
  test('asks the server as it asks a container’s', async () => {
    expect(await read([], DEBIANS)).toBe('built')
  })

  test('starts the process of a profile', async () => {
    const config = await profile()
    // exec hides the laptop's files; who wants one names it in the command.
    expect(await read([], 'env', [`AWS_CONFIG_FILE=${config}`, DEBIANS, '--profile', 'mayfly'])).toBe('built')
  })

  test('shows what was wrong', async () => {
    const uri = '"$(echo "$AWS_CONTAINER_CREDENTIALS_FULL_URI" | sed s/ask_.*/ask_none/)"'
    const script = `AWS_CONTAINER_CREDENTIALS_FULL_URI=${uri} exec ${DEBIANS} sts get-caller-identity`
    expect(await within([], ['sh', '-c', script])).toContain('no task held here has such a handle')
  })
})

describe.skipIf(!canRun('/usr/bin/python3', ['-c', 'import boto3']))('boto3 of Debian', () => {
  const args = () => ['-c', BOTO3, installation.aws.url, BUCKET]

  test('asks the server, and keeps what it got', async () => {
    const before = installation.aws.credentials().length
    expect(await within([], ['/usr/bin/python3', ...args()])).toBe('built\nbuilt\nbuilt\n')
    expect(installation.aws.credentials()).toHaveLength(before + 1)
  })

  test('has a session that is always near its end without minting another', async () => {
    const before = installation.aws.credentials().length
    const short = ['--minutes', '10']
    expect(await within(short, ['/usr/bin/python3', ...args()])).toBe('built\nbuilt\nbuilt\n')
    expect(installation.aws.credentials()).toHaveLength(before + 1)
  })

  test('starts the process of a profile', async () => {
    const config = await profile()
    const command = ['env', `AWS_CONFIG_FILE=${config}`, '/usr/bin/python3', ...args(), 'mayfly']
    expect(await within([], command)).toBe('built\nbuilt\nbuilt\n')
  })
})

/** botocore reads the token from a file from 1.33 on; Debian's is older. */
const readsFile = () => {
  try {
    const version = execFileSync('aws', ['--version'], { encoding: 'utf8' })
    const [, major = '0', minor = '0'] = /botocore\/(\d+)\.(\d+)/.exec(version) ?? []
    return Number(major) > 1 || Number(minor) >= 33
  } catch {
    return false
  }
}

test.skipIf(!readsFile())('a newer CLI reads the token from a file', async () => {
  expect(await read(['--aws-token-file'], 'aws')).toBe('built')
})
