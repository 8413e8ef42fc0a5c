/** `humans:` in mayfly.yaml: on whose behalf agents may act, and who vouches for these humans. */
import { z } from 'zod'
import { algorithms, audience, issuerUrl, keySetUrl } from '../../attestors/shared/settings.ts'
import { LIMITS } from '../limits.ts'
import type { OperatorSettings } from './operators.ts'
import { lineShape } from './shapes.ts'

const claimName = lineShape(LIMITS.nameChars)

const humansOfIssuer = z
  .strictObject({
    issuer: issuerUrl,
    /** What their ID tokens are for: an audience of this purpose alone. */
    audience,
    /** What `azp` must be, where the ID token has one and it is not the audience. */
    client_id: lineShape(LIMITS.audienceChars).optional(),
    algorithms: algorithms.default(['RS256']),
    /** Given: no discovery. */
    jwks_uri: keySetUrl.optional(),
    jwks_hosts: z.array(z.string().min(1)).default([]),
    groups_claim: claimName.default('groups'),
    name_claim: claimName.default('name'),
    email_claim: claimName.default('email'),
    /** The claim that says what the human is called at GitHub. Absent: nothing of GitHub's is asked on their behalf. */
    github_login_claim: claimName.optional(),
    /** The claim that says the number of that account: logins are given again. */
    github_id_claim: claimName.optional(),
    /** The GitHub that those are of. */
    github_host: lineShape(LIMITS.labelChars).default('github.com'),
  })
  .refine(one => one.github_id_claim === undefined || one.github_login_claim !== undefined, {
    path: ['github_id_claim'],
    message: 'expected github_login_claim beside it',
  })

export const humansShape = z
  .array(humansOfIssuer)
  .max(LIMITS.humanIssuers)
  .refine(all => new Set(all.map(one => one.issuer)).size === all.length, 'expected each issuer once')
  .default([])

export type HumanSettings = z.infer<typeof humansShape>

/** What is for one purpose must be of no use for another. */
export function refuseSharedAudience(
  {
    humans,
    operators,
    public_url,
  }: { humans: HumanSettings; operators: OperatorSettings; public_url: string },
  context: z.RefinementCtx,
): void {
  for (const [index, { issuer, audience }] of humans.entries()) {
    const refuse = (key: string, message: string, remedy: string) =>
      context.addIssue({ code: 'custom', path: ['humans', index, key], message, params: { remedy } })
    if (new URL(issuer).origin === public_url)
      refuse(
        'issuer',
        'expected another issuer than the broker itself',
        'Trust the identity provider of people',
      )
    const { oidc } = operators
    if (oidc === undefined || oidc.issuer !== issuer) continue
    if ([oidc.client_id, oidc.audience].includes(audience))
      refuse(
        'audience',
        'expected another audience than that of operators: a token for one would be good for the other',
        'Register another client at the identity provider, for delegation alone',
      )
  }
}
