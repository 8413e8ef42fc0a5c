/**
 * Attests AWS principals by the JWTs of `sts:GetWebIdentityToken`. Each AWS account is an issuer of its own, so that
 * the trust root is the account. Claims: AWS, "Outbound identity federation".
 *
 * - `sub` is the ARN of the role (or user), without the session.
 * - `request_tags` are whatever the caller wrote into its request: they are not looked at.
 * - `principal_tag_*` are tags of the role, or of the session where the role's trust policy lets its callers tag it.
 */
import { z } from 'zod'
import { defineAttestor } from './attestor.ts'
import { accept, type Checked, refuse } from './shared/checked.ts'
import { audience, issuerUrl, seconds } from './shared/settings.ts'
import { isJsonObject, type JsonObject, member } from './shared/strict-json.ts'
import { type ClaimTable, isText, openTypedIssuer, ruleFacts } from './shared/typed-issuer.ts'

const settings = z.strictObject({
  /** `https://<uuid>.tokens.sts.global.api.aws`, as `aws iam get-outbound-web-identity-federation-info` tells it. */
  issuer: issuerUrl,
  audience,
  /** The account behind that issuer; tokens of another are refused. */
  account: z.string().regex(/^\d{12}$/, 'must be the twelve digits of an AWS account'),
  algorithms: z
    .array(z.enum(['RS256', 'ES384']))
    .min(1)
    .default(['RS256', 'ES384']),
  /** Cap on `exp - iat`; AWS allows 60 to 3600. */
  max_lifetime_seconds: seconds(3600).default(900),
  max_age_seconds: seconds(3600).default(300),
})

const NAMESPACE = 'https://sts.amazonaws.com/'
const CLAIMS: ClaimTable = {
  aws_account: { type: 'string', form: /^\d{12}$/, required: true, at: [NAMESPACE, 'aws_account'] },
  source_region: { type: 'string', at: [NAMESPACE, 'source_region'] },
  org_id: { type: 'string', form: /^o-[a-z0-9]{10,32}$/, at: [NAMESPACE, 'org_id'] },
  ou_path: { type: 'string_list', at: [NAMESPACE, 'ou_path'] },
  lambda_source_function_arn: { type: 'string', at: [NAMESPACE, 'lambda_source_function_arn'] },
}
const PRINCIPAL = /^arn:aws[a-z-]*:iam::(\d{12}):(?:role|user)\/[\w+=,.@/-]{1,512}$/
const MAX_TAGS = 50

export const awsWebIdentity = defineAttestor({
  type: 'aws-web-identity',
  settings,
  rules: ruleFacts(CLAIMS, {
    pinnedBy: {
      claims: [],
      subject: { form: PRINCIPAL, example: 'arn:aws:iam::123456789012:role/NAME' },
      remedy: 'Name the ARN of the role: aws iam get-role --role-name NAME --query Role.Arn',
    },
  }),
  open: (chosen, deps) =>
    openTypedIssuer(
      {
        issuer: chosen.issuer,
        audience: chosen.audience,
        algorithms: chosen.algorithms,
        maxLifetimeS: chosen.max_lifetime_seconds,
        maxAgeS: chosen.max_age_seconds,
        requireTokenId: true,
        singleUse: true,
        claims: CLAIMS,
        open: principalTags,
        judge({ aws_account: account }, subject) {
          const named = PRINCIPAL.exec(subject)?.[1]
          if (named === undefined) return refuse('subject_not_acceptable', 'sub is no ARN of a role or user')
          if (account !== chosen.account || named !== account)
            return refuse('issuer_not_trusted', 'it is of another account')
          return accept({})
        },
      },
      deps,
    ),
})

function principalTags(payload: JsonObject): Checked<Readonly<Record<string, string>>> {
  const namespace = member(payload, NAMESPACE)
  const tags = isJsonObject(namespace) ? member(namespace, 'principal_tags') : undefined
  if (tags === undefined) return accept({})
  if (!isJsonObject(tags)) return refuse('claim_malformed', 'principal_tags is not an object')
  const entries = Object.entries(tags)
  if (entries.length > MAX_TAGS) return refuse('claim_malformed', 'too many principal_tags')
  const named: [string, string][] = []
  for (const [key, value] of entries) {
    if (!/^[\p{L}\p{N} _.:/=+@-]{1,128}$/u.test(key) || !isText(value))
      return refuse('claim_malformed', 'principal_tags are not usable text')
    named.push([`principal_tag_${key}`, value])
  }
  return accept(Object.fromEntries(named))
}
