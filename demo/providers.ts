/** Calls that workloads make with what they were given. Mayfly has no part in them, nor in their answers. */
import { GetObjectCommand, S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import type { Answer } from './timeline.ts'

export type AwsSession = { AccessKeyId: string; SecretAccessKey: string; SessionToken: string }

export type Providers = {
  github: {
    /** Reads a repository's README.md, `repository` as OWNER/NAME. */
    read(token: string, repository: string): Promise<Answer>
    /** Commits a new file. */
    write(token: string, repository: string, path: string): Promise<Answer>
  }
  s3: {
    /** GetObject, by Amazon's own SDK. */
    get(session: AwsSession, bucket: string, key: string): Promise<Answer>
  }
}

/** @param world.now epoch ms; requests to AWS are signed with the time. */
export function providersAt(world: { githubUrl: string; awsUrl: string; now: () => number }): Providers {
  const contents = (repository: string, path: string) =>
    `${world.githubUrl}/repos/${repository}/contents/${path}`
  return {
    github: {
      read: (token, repository) => github(contents(repository, 'README.md'), token, { method: 'GET' }),
      write(token, repository, path) {
        const content = Buffer.from('written by the demo').toString('base64')
        const body = JSON.stringify({ message: `add ${path}`, content })
        return github(contents(repository, path), token, { method: 'PUT', body })
      },
    },
    s3: { get: (session, bucket, key) => s3Get(world, session, { Bucket: bucket, Key: key }) },
  }
}

async function github(url: string, token: string, request: RequestInit): Promise<Answer> {
  const headers = { authorization: `Bearer ${token}`, 'user-agent': 'mayfly-demo' }
  const response = await fetch(url, { ...request, headers })
  const { message } = (await response.json()) as { message?: string }
  return { from: 'GitHub', status: response.status, words: message ?? response.statusText }
}

async function s3Get(
  { awsUrl, now }: { awsUrl: string; now: () => number },
  session: AwsSession,
  object: { Bucket: string; Key: string },
): Promise<Answer> {
  const client = new S3Client({
    region: 'eu-central-1',
    endpoint: awsUrl,
    forcePathStyle: true,
    maxAttempts: 1,
    systemClockOffset: now() - Date.now(),
    credentials: {
      accessKeyId: session.AccessKeyId,
      secretAccessKey: session.SecretAccessKey,
      sessionToken: session.SessionToken,
    },
  })
  try {
    const { Body } = await client.send(new GetObjectCommand(object))
    await Body?.transformToString()
    return { from: 'AWS', status: 200, words: 'OK' }
  } catch (error) {
    if (!(error instanceof S3ServiceException)) throw error
    return { from: 'AWS', status: error.$metadata.httpStatusCode ?? 500, words: error.name }
  } finally {
    client.destroy()
  }
}
