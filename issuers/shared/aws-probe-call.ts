/**
 * One permission-checked call under a session, without an effect: may it still do anything? Never
 * GetCallerIdentity, which AWS answers even under a deny.
 */
import { SignatureV4 } from '@smithy/signature-v4'
import { z } from 'zod'
import type { IssuerDeps } from '../issuer.ts'
import { providerUrl } from './provider-url.ts'
import { Sha256 } from './sha256.ts'
import type { AwsKeys } from './sts-client.ts'

/** The call, and where it goes if not to the region's own endpoint. The role must allow it. */
export const probeCall = z.discriminatedUnion('call', [
  /** A dry run, which answers "may I?" and lists nothing. */
  z.strictObject({ call: z.literal('ec2:DescribeRegions'), endpoint: providerUrl.optional() }),
  /** Where EC2 is out of reach: the region of a bucket that the operator names. */
  z.strictObject({
    call: z.literal('s3:GetBucketLocation'),
    bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/),
    endpoint: providerUrl.optional(),
  }),
])
export type ProbeCall = z.infer<typeof probeCall>

/** What the session's policy must let through for the call to be judged by the role. */
export function probeStatement(call: ProbeCall, partition: string): { action: string; resource: string } {
  const resource = call.call === 's3:GetBucketLocation' ? `arn:${partition}:s3:::${call.bucket}` : '*'
  return { action: call.call, resource }
}

/** `denied` only where AWS said that the caller may not; everything else that is no success is `unknown`. */
export async function callAs(
  keys: AwsKeys,
  call: ProbeCall,
  region: string,
  deps: Pick<IssuerDeps, 'fetch' | 'now' | 'userAgent'>,
): Promise<'allowed' | 'denied' | 'unknown'> {
  try {
    const response = await send(keys, call, region, deps)
    return judge(response.status, await response.text())
  } catch {
    return 'unknown'
  }
}

async function send(
  keys: AwsKeys,
  call: ProbeCall,
  region: string,
  { fetch, now, userAgent }: Pick<IssuerDeps, 'fetch' | 'now' | 'userAgent'>,
): Promise<Response> {
  const service = call.call === 'ec2:DescribeRegions' ? 'ec2' : 's3'
  const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
  const origin = new URL(call.endpoint ?? `https://${service}.${region}.${suffix}`)
  const signer = new SignatureV4({
    service,
    region,
    credentials: keys,
    sha256: Sha256,
    // S3 signs the path as it is sent, the others encode it twice (SigV4, "canonical request").
    uriEscapePath: service !== 's3',
  })
  const common = {
    protocol: origin.protocol,
    hostname: origin.hostname,
    port: Number(origin.port) || undefined,
  }
  const headers = { host: origin.host, 'user-agent': userAgent }
  const unsigned =
    call.call === 'ec2:DescribeRegions'
      ? {
          ...{
            method: 'POST',
            path: '/',
            query: {},
            body: 'Action=DescribeRegions&DryRun=true&Version=2016-11-15',
          },
          headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
        }
      : { method: 'GET', path: `/${call.bucket}`, query: { location: '' }, headers }
  const { port, ...rest } = common
  const signed = await signer.sign(
    { ...rest, ...(port !== undefined && { port }), ...unsigned },
    { signingDate: new Date(now()) },
  )
  const query = service === 's3' ? '?location' : ''
  return fetch(`${origin.origin}${unsigned.path}${query}`, {
    method: unsigned.method,
    headers: signed.headers,
    body: 'body' in unsigned ? unsigned.body : null,
    redirect: 'manual',
  })
}

/** EC2's dry run succeeds with an error of its own name (EC2 API Reference, "Common client error codes"). */
function judge(status: number, body: string): 'allowed' | 'denied' | 'unknown' {
  if (status === 200) return 'allowed'
  const code = /<Code>(\w+)<\/Code>/.exec(body)?.[1]
  if (code === 'DryRunOperation') return 'allowed'
  if (status === 403 && (code === 'UnauthorizedOperation' || code === 'AccessDenied')) return 'denied'
  return 'unknown'
}
