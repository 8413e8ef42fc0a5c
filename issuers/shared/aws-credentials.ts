/** Who the broker is at AWS. */
import { z } from 'zod'
import type { IssuerDeps } from '../issuer.ts'
import { roleArn } from './aws-ask.ts'
import { type AwsKeys, ambientCredentials, type StsEndpoint } from './sts-client.ts'
import { brokerSession, webIdentity } from './web-identity.ts'

/**
 * `ambient`: the SDK's default chain. A file: JSON with AccessKeyId, SecretAccessKey, perhaps SessionToken.
 * `web_identity`: no AWS key at all, AWS takes the broker's own signature; `broker_role` is the role in which
 * the broker ends sessions.
 */
export const credentialSettings = z.union([
  z.literal('ambient'),
  z.literal('web_identity'),
  z.strictObject({ access_key_file: z.string().min(1) }),
  z.strictObject({ web_identity: z.strictObject({ broker_role: roleArn }) }),
])
type CredentialSettings = z.infer<typeof credentialSettings>

export function isWebIdentity(credentials: CredentialSettings): boolean {
  return credentials === 'web_identity' || (typeof credentials === 'object' && 'web_identity' in credentials)
}

/** The broker's own keys at AWS. A key file is read at every use, so that a key can be replaced in place. */
export function credentialsOf(
  credentials: CredentialSettings,
  endpoint: StsEndpoint,
  deps: IssuerDeps,
): () => Promise<AwsKeys> {
  if (credentials === 'ambient') return ambientCredentials(endpoint.region)
  if (credentials === 'web_identity') {
    return async () => {
      throw new Error('the broker has no role of its own at AWS')
    }
  }
  if ('web_identity' in credentials) {
    return brokerSession(webIdentity(deps), credentials.web_identity.broker_role, endpoint, deps)
  }
  const file = credentials.access_key_file
  return async () => {
    const text = (await deps.readSecretFile(file)).reveal()
    const parsed = accessKey.safeParse(parseJson(text))
    // What is wrong with it is not told: the text is a secret.
    if (!parsed.success) throw new Error(`${file} is not an AWS access key in JSON`)
    const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken } = parsed.data
    return { accessKeyId, secretAccessKey, ...(SessionToken && { sessionToken: SessionToken }) }
  }
}

const accessKey = z.strictObject({
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  SessionToken: z.string().min(1).optional(),
})

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
