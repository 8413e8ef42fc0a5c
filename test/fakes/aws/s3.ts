/** Amazon S3, path style: GetObject, PutObject and DeleteObject, enough to show what a session can and cannot do. */
import { createHash } from 'node:crypto'
import { authorize, judge } from './authorize.ts'
import { AwsError } from './aws-error.ts'
import type { Principal, World } from './world.ts'

export type S3Call = { operation: string; bucket: string; key: string }

const OPERATIONS: Readonly<Record<string, string>> = {
  GET: 'GetObject',
  PUT: 'PutObject',
  DELETE: 'DeleteObject',
}

/** What a path-style request asks for; the operation is the method's name where this stand-in has none. */
export function readS3Call(method: string, pathname: string): S3Call {
  const [, bucket = '', ...rest] = pathname.split('/')
  const key = readPath(rest.join('/'))
  const operation = key === '' ? undefined : OPERATIONS[method]
  return { operation: operation ?? method, bucket, key }
}

/** Percent-decoded; a path that cannot be decoded stands for itself, and so matches no key and no signature. */
export function readPath(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

/** @throws AwsError */
export function s3(world: World, caller: Principal, call: S3Call, body: Uint8Array): Response {
  const resource = `arn:aws:s3:::${call.bucket}/${call.key}`
  if (!Object.values(OPERATIONS).includes(call.operation)) {
    throw new AwsError(405, 'MethodNotAllowed', 'The specified method is not allowed against this resource.')
  }
  authorize(world, caller, { action: `s3:${call.operation}`, resource })
  const bucket = world.buckets.get(call.bucket)
  if (bucket === undefined) throw new AwsError(404, 'NoSuchBucket', 'The specified bucket does not exist')
  switch (call.operation) {
    case 'PutObject':
      bucket.set(call.key, Uint8Array.from(body))
      return new Response(null, { status: 200, headers: { etag: etag(body) } })
    case 'DeleteObject':
      // Deleting what is not there is not an error.
      bucket.delete(call.key)
      return new Response(null, { status: 204 })
    default: {
      const stored = bucket.get(call.key)
      if (stored === undefined) throw missing(world, caller, call.bucket)
      return new Response(Uint8Array.from(stored), {
        status: 200,
        headers: { etag: etag(stored), 'content-type': 'application/octet-stream' },
      })
    }
  }
}

/** Who may not list the bucket does not learn that the key is absent. */
function missing(world: World, caller: Principal, bucket: string): AwsError {
  const resource = `arn:aws:s3:::${bucket}`
  const listed = judge(world, caller, { action: 's3:ListBucket', resource })
  return listed.allowed
    ? new AwsError(404, 'NoSuchKey', 'The specified key does not exist.')
    : new AwsError(403, 'AccessDenied', 'Access Denied')
}

function etag(bytes: Uint8Array): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`
}
