/** AWS's own clients, unchanged, at the STS endpoint: the default chain of an SDK, and configure-aws-credentials. */
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import {
  AssumeRoleWithWebIdentityCommand,
  type AssumeRoleWithWebIdentityCommandOutput,
  GetCallerIdentityCommand,
  STSClient,
} from '@aws-sdk/client-sts'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { endTask } from '../../src/broker/tasks/end-task.ts'
import type { RunningServer } from '../../src/server.ts'
import { BUCKET, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'

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
afterEach(() => vi.unstubAllEnvs())

const endpoint = () => `${broker.url}/sts`
const token = () => installation.jobToken({ jti: randomUUID() })
const isObject = { Bucket: BUCKET, Key: 'build.txt' }
const audited = async (event: string) => {
  const { items } = await broker.broker.ledger.read.audit({}, { limit: 10_000 })
  return items.filter(row => row.event === event).length
}

describe('an SDK that is told of nothing but its environment', () => {
  /** Its default chain, from the environment that Kubernetes and CI systems make. */
  async function sdk(tokenFile: string, maxAttempts = 3): Promise<S3Client> {
    const environment = {
      ...{ AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile, AWS_ROLE_ARN: installation.roleArn },
      ...{ AWS_ENDPOINT_URL_STS: endpoint(), AWS_REGION: 'eu-central-1' },
      ...{ AWS_EC2_METADATA_DISABLED: 'true', AWS_CONFIG_FILE: '/dev/null' },
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    }
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
    return new S3Client({ endpoint: installation.aws.url, forcePathStyle: true, maxAttempts })
  }
  const tokenFile = async (text: string) => {
    const path = join(installation.directory, 'web-identity-token')
    await writeFile(path, text)
    return path
  }

  test('reads what it may, and opens another session with a fresh token', async () => {
    for (const _ of [1, 2]) {
      const s3 = await sdk(await tokenFile(await token()))
      const { Body } = await s3.send(new GetObjectCommand(isObject))
      expect(await Body?.transformToString()).toBe('built')
      s3.destroy()
    }
  })

  test('does not try again with a token that is used up, and says what to do', async () => {
    const path = await tokenFile(await token())
    const first = await sdk(path)
    await first.send(new GetObjectCommand(isObject))
    const before = await audited('evidence.replayed')
    const second = await sdk(path)
    await expect(second.send(new GetObjectCommand(isObject))).rejects.toMatchObject({
      message: expect.stringContaining('get a fresh one for each call'),
    })
    expect(await audited('evidence.replayed')).toBe(before + 1)
    for (const one of [first, second]) one.destroy()
  })
})

describe('configure-aws-credentials', () => {
  /** As its `assumeRole` asks, with its defaults. */
  const assume = (sts: STSClient, WebIdentityToken: string) =>
    sts.send(
      new AssumeRoleWithWebIdentityCommand({
        ...{ RoleArn: installation.roleArn, RoleSessionName: 'GitHubActions', DurationSeconds: 3_600 },
        WebIdentityToken,
      }),
    )
  const client = (credentials?: AssumeRoleWithWebIdentityCommandOutput['Credentials'], maxAttempts = 3) =>
    new STSClient({
      ...{ region: 'eu-central-1', endpoint: endpoint(), maxAttempts },
      customUserAgent: 'configure-aws-credentials-for-github-actions',
      ...(credentials === undefined
        ? {}
        : {
            credentials: {
              accessKeyId: credentials.AccessKeyId!,
              secretAccessKey: credentials.SecretAccessKey!,
              sessionToken: credentials.SessionToken!,
            },
          }),
    })

  test('assumes the role, and asks the same endpoint who it is now', async () => {
    const answer = await assume(client(), await token())
    expect(answer).toMatchObject({
      AssumedRoleUser: { Arn: expect.stringMatching(/assumed-role\/deploy\/lse_/) },
      Audience: 'https://mayfly.test',
      Provider: installation.identityProvider.issuer,
      $metadata: { requestId: expect.stringMatching(/^req_/), attempts: 1 },
    })
    const until = answer.Credentials!.Expiration!.getTime() - installation.clock.now()
    expect(Math.round(until / 60_000)).toBe(60)
    const me = await client(answer.Credentials).send(new GetCallerIdentityCommand({}))
    expect(me).toMatchObject({ Account: '123456789012', Arn: answer.AssumedRoleUser!.Arn })
  })

  test('is not told who somebody else is, nor after the end', async () => {
    const { Credentials: one, SourceIdentity: lease } = await assume(client(), await token())
    const { Credentials: other } = await assume(client(), await token())
    const who = (credentials: object) =>
      client({ ...one!, ...credentials }).send(new GetCallerIdentityCommand({}))
    for (const wrong of [
      { SessionToken: other!.SessionToken },
      { AccessKeyId: other!.AccessKeyId },
      { AccessKeyId: 'ASIAUNKNOWN000000000', SessionToken: 'unknown' },
    ])
      await expect(who(wrong)).rejects.toMatchObject({ name: 'InvalidClientTokenId' })
    const { task } = (await broker.broker.ledger.read.lease(lease!))!
    await endTask(broker.broker, task, 'revoked', { actor: 'a test' })
    await expect(who({})).rejects.toMatchObject({ name: 'ExpiredToken' })
    const bare = await fetch(endpoint(), {
      method: 'POST',
      body: new URLSearchParams({ Action: 'GetCallerIdentity', Version: '2011-06-15' }),
    })
    expect([bare.status, await bare.text()]).toEqual([
      403,
      expect.stringContaining('MissingAuthenticationToken'),
    ])
  })

  test('gives up at once on what will not change, and is told which decision it was', async () => {
    const denied = assume(
      client(),
      await installation.jobToken({ jti: randomUUID(), ref: 'refs/heads/other' }),
    )
    await expect(denied).rejects.toMatchObject({
      name: 'AccessDenied',
      message: expect.stringMatching(/decision dec_/),
      $metadata: { attempts: 1, httpStatusCode: 403 },
    })
    await expect(assume(client(), 'e30.e30.AAAA')).rejects.toMatchObject({
      name: 'InvalidIdentityTokenException',
      $metadata: { attempts: 1, httpStatusCode: 400 },
    })
  })

  test('comes again where the identity provider cannot be asked, or AWS, or the answer is lost', async () => {
    const { broker: b } = broker
    const attestor = b.attestors.get('actions')!
    const attest = attestor.attest.bind(attestor)
    attestor.attest = async () => {
      attestor.attest = attest
      throw new Error('no key set')
    }
    const answer = await assume(client(), await token())
    expect(answer.$metadata.attempts).toBe(2)

    // A proxy that loses the first answer: the SDK repeats the very same request.
    const lossy = await losingProxy()
    const sts = new STSClient({ region: 'eu-central-1', endpoint: lossy.url })
    const again = await assume(sts, await token())
    expect(again.$metadata.attempts).toBeGreaterThan(1)
    expect(lossy.statuses()[0]).toBe(200)
    expect(lossy.statuses().at(-1)).toBe(200)
    await lossy.close()
  })
})

/** Hands on everything, and drops the connection instead of the first answer. */
async function losingProxy(): Promise<{ url: string; statuses: () => number[]; close: () => Promise<void> }> {
  const statuses: number[] = []
  const server: Server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const answer = await fetch(`${broker.url}${incoming.url}`, {
      method: incoming.method!,
      headers: { 'content-type': incoming.headers['content-type']! },
      body: Buffer.concat(chunks),
    })
    const text = await answer.text()
    statuses.push(answer.status)
    if (statuses.length === 1) {
      // The SDK waits less than a second before it repeats itself: here that second has passed.
      installation.clock.advance(1_000)
      outgoing.destroy()
      return
    }
    outgoing.writeHead(answer.status, Object.fromEntries(answer.headers)).end(text)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/sts`,
    statuses: () => statuses,
    close: () => new Promise(resolve => server.close(() => resolve())),
  }
}
