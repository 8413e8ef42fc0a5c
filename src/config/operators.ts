/** `operators:` in mayfly.yaml: who humans are, what their groups may do, what takes two of them. */
import { z } from 'zod'
import { algorithms, audience, issuerUrl, keySetUrl } from '../../attestors/shared/settings.ts'
import { LIMITS } from '../limits.ts'
import { lineShape, pathShape, wholeNumber } from './shapes.ts'

const claimName = lineShape(LIMITS.nameChars)
const groupName = lineShape(LIMITS.claimChars)
const groups = z.array(groupName).max(LIMITS.operatorGroups)

const oidcShape = z.strictObject({
  issuer: issuerUrl,
  /** Of a public, native client: the command line cannot keep a secret. */
  client_id: lineShape(LIMITS.audienceChars),
  /** What ID tokens are for, where it is not the client. */
  audience: audience.optional(),
  algorithms: algorithms.default(['RS256']),
  /** Given: no discovery. */
  jwks_uri: keySetUrl.optional(),
  jwks_hosts: z.array(z.string().min(1)).default([]),
  scopes: z
    .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'expected a scope (RFC 6749)'))
    .max(32)
    .default(['openid', 'profile', 'email'])
    .refine(scopes => scopes.includes('openid'), 'expected openid among them'),
  groups_claim: claimName.default('groups'),
  name_claim: claimName.default('name'),
  email_claim: claimName.default('email'),
  max_session_hours: wholeNumber(1, LIMITS.operatorSessionHours, 'hours').default(8),
  /** For providers that compare the port of a loopback redirect; none: any free port (RFC 8252 section 7.3). */
  loopback_redirect_ports: z
    .array(wholeNumber(1_024, 65_535, 'a port'))
    .max(8)
    .default([]),
  /** Whether `mayfly login --device` makes a session: its ID token carries no nonce. */
  device_flow: z.boolean().default(false),
  /** What a fresh sign-in must say of its strength (`acr`), one of these; WebAuthn is asked for so. */
  fresh_acr_values: z.array(lineShape(LIMITS.labelChars)).max(8).default([]),
})

/** The roles of the shipped policies, in `config/roles`. */
export const ROLE_NAMES = ['viewer', 'approver', 'owner', 'platform', 'admin'] as const
export type RoleName = (typeof ROLE_NAMES)[number]

const memberships = z.record(lineShape(LIMITS.labelChars), groups).default({})

export const operatorsShape = z
  .strictObject({
    /** Off: operator tokens are refused, and none is made; what works offline goes on working. */
    bootstrap_tokens: z.boolean().default(true),
    oidc: oidcShape.optional(),
    /** Groups of each role; a role that is absent has the group `mayfly-<role>`. */
    roles: z.partialRecord(z.enum(ROLE_NAMES), groups).default({}),
    /** Groups of a team, by the name that agents have as their business owner; always that name's own, too. */
    teams: memberships,
    /** In place of the shipped role policies: every `*.cedar` in it. */
    roles_dir: pathShape.optional(),
    /** What takes the fresh sign-in of a second human, when it is changed through the API. */
    dual_control: z
      .strictObject({
        policies: z.boolean().default(false),
        /** Secrets of issuers and attestors, and the settings of those that have some. */
        keys: z.boolean().default(false),
      })
      .prefault({}),
  })
  .superRefine(({ bootstrap_tokens, oidc, dual_control }, context) => {
    if (oidc !== undefined) return
    const remedy = 'Set operators.oidc first: see docs/operators.md'
    const refuse = (path: string[], message: string) =>
      context.addIssue({ code: 'custom', path, message, params: { remedy } })
    if (!bootstrap_tokens) refuse(['bootstrap_tokens'], 'expected operators.oidc, or nobody could sign in')
    for (const [name, isOn] of Object.entries(dual_control))
      if (isOn) refuse(['dual_control', name], 'expected operators.oidc: a second human signs in to agree')
  })

export type OperatorSettings = z.infer<typeof operatorsShape>
