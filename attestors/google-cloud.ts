/**
 * Attests workloads of Google Cloud by the ID tokens of their service accounts (metadata server, `format=full`; IAM
 * Credentials `generateIdToken`). Claims: Google Cloud, "Verify VM identity" and "Get an ID token".
 *
 * - `sub` is the service account's unique id, never given again; the e-mail address may be, after a deletion.
 * - The tokens have no `jti`, and the metadata server hands one out again until it nears its end.
 * - What tells of the machine is there only where the token was asked for with `format=full`.
 */
import { z } from 'zod'
import { defineAttestor } from './attestor.ts'
import { accept, refuse } from './shared/checked.ts'
import { audience, issuerUrl, keySetUrl, reuse, seconds } from './shared/settings.ts'
import { type ClaimTable, openTypedIssuer, ruleFacts } from './shared/typed-issuer.ts'

const settings = z.strictObject({
  issuer: issuerUrl.default('https://accounts.google.com'),
  /** The broker's own name; not the client id of an application, whose tokens humans get, too. */
  audience: audience.refine(
    value => !value.endsWith('.apps.googleusercontent.com'),
    'is the client id of an application, for which humans get tokens too; choose one of your own',
  ),
  /** Google's discovery names a key set on another of its hosts. */
  jwks_uri: keySetUrl.default('https://www.googleapis.com/oauth2/v3/certs'),
  max_lifetime_seconds: seconds(86_400).default(3660),
  /** As long as a token lives: it is handed out again. */
  max_age_seconds: seconds(86_400).default(3660),
  /** On where each request gets a token of its own (`generateIdToken`). */
  single_use: z.boolean().default(false),
  /** What a second use is worth, where each use is not the only one. */
  reuse,
})

const MACHINE = ['google', 'compute_engine'] as const
const CLAIMS: ClaimTable = {
  azp: { type: 'string' },
  email: { type: 'string' },
  email_verified: { type: 'boolean' },
  project_id: { type: 'string', at: [...MACHINE, 'project_id'] },
  project_number: { type: 'integer', at: [...MACHINE, 'project_number'] },
  zone: { type: 'string', at: [...MACHINE, 'zone'] },
  instance_id: { type: 'string', form: /^\d{1,20}$/, at: [...MACHINE, 'instance_id'] },
  instance_name: { type: 'string', at: [...MACHINE, 'instance_name'] },
  instance_confidentiality: { type: 'integer', at: [...MACHINE, 'instance_confidentiality'] },
}
const UNIQUE_ID = /^\d{15,25}$/

export const googleCloud = defineAttestor({
  type: 'google-cloud',
  settings,
  rules: ruleFacts(CLAIMS, {
    pinnedBy: {
      claims: [],
      subject: { form: UNIQUE_ID, example: '117302847561029384756' },
      remedy: 'Find the unique id: gcloud iam service-accounts describe EMAIL --format="value(uniqueId)"',
    },
    // By whoever may create machines in some project.
    callerChosen: { instance_name: 'project_number', zone: 'project_number' },
  }),
  open: (chosen, deps) =>
    openTypedIssuer(
      {
        issuer: chosen.issuer,
        audience: chosen.audience,
        algorithms: ['RS256'],
        jwksUri: chosen.jwks_uri,
        maxLifetimeS: chosen.max_lifetime_seconds,
        maxAgeS: chosen.max_age_seconds,
        requireTokenId: false,
        singleUse: chosen.single_use,
        ...(chosen.single_use ? {} : { reuse: chosen.reuse }),
        claims: CLAIMS,
        judge(claims, subject) {
          if (!UNIQUE_ID.test(subject)) return refuse('subject_not_acceptable', 'sub is no unique id')
          if (claims.email !== undefined && claims.email_verified !== true)
            return refuse('claim_malformed', 'email is not verified')
          return accept({})
        },
      },
      deps,
    ),
})
