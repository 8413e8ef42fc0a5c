/**
 * One STS client for one call: nothing is retried, the request goes through the host's fetch, and the
 * signature carries the date we give it, not the SDK's own clock.
 */
import { STSClient } from '@aws-sdk/client-sts'
import type { IssuerDeps } from '../issuer.ts'

export type StsEndpoint = { region: string; endpoint: string | undefined }
export type AwsKeys = { accessKeyId: string; secretAccessKey: string; sessionToken?: string }

/** The SDK's default chain (environment, profile, container, instance), kept and renewed by the SDK. */
export function ambientCredentials(region: string): () => Promise<AwsKeys> {
  const { config } = new STSClient({ region })
  return () => config.credentials()
}

/**
 * `signedAt`: epoch ms; AWS refuses the request a quarter of an hour after it. The SDK would otherwise take
 * its clock from the Date header of the last reply, and so let a reply move the date of the next mint.
 */
export function stsClient(
  { region, endpoint }: StsEndpoint,
  credentials: AwsKeys,
  signedAt: number,
  deps: IssuerDeps,
): STSClient {
  const client = new STSClient({
    region,
    ...(endpoint !== undefined && { endpoint }),
    credentials,
    // A second attempt after a lost reply would be a second session, which no ledger knows.
    maxAttempts: 1,
    customUserAgent: deps.userAgent,
    requestHandler: fetchHandler(deps.fetch),
  })
  pinSigningDate(client, () => signedAt)
  return client
}

type Signing = { signingDate?: Date }
type Signer<Request> = { sign(request: Request, options?: Signing): Promise<Request> }

/**
 * Signs with the date we give (epoch ms). The SDK would otherwise take its clock from the Date header of the
 * last reply, and so let a reply move the date of the next call.
 */
export function pinSigningDate<Scheme, Request>(
  { config }: { config: { signer: (scheme?: Scheme) => Promise<Signer<Request>> } },
  date: () => number,
): void {
  const { signer } = config
  config.signer = async scheme => {
    const inner = await signer(scheme)
    return { sign: (request, options) => inner.sign(request, { ...options, signingDate: new Date(date()) }) }
  }
}

/** What is read of the SDK's request; STS has no query string, everything is in the form body. */
type SignedRequest = {
  method: string
  protocol: string
  hostname: string
  port?: number
  path: string
  headers: Record<string, string>
  body?: string | Uint8Array<ArrayBuffer>
}

export function fetchHandler(fetch: IssuerDeps['fetch']) {
  return {
    async handle({ method, protocol, hostname, port, path, headers, body }: SignedRequest) {
      const url = `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`
      const response = await fetch(url, { method, headers, body: body ?? null, redirect: 'manual' })
      return {
        response: {
          statusCode: response.status,
          headers: Object.fromEntries(response.headers),
          // Read here, so that a reply cut short is a network failure and not an empty answer.
          body: new Uint8Array(await response.arrayBuffer()),
        },
      }
    },
  }
}
