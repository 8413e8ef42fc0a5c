/**
 * Attests GitLab CI/CD jobs by their ID tokens. Claims and forms: GitLab Docs, "OpenID Connect (OIDC) authentication
 * using ID tokens" (doc/ci/secrets/id_token_authentication.md). GitLab writes every claim as text, ids and flags too.
 *
 * - Ids are what rules should match: groups and projects are renamed and moved, and the name is free again.
 * - `environment` and its kin are written in the pipeline's own file by whoever may push to the ref; they are worth
 *   something only where the environment is protected, as a ref is only where it is.
 * - Sources that run what nobody has merged, or hide what started them, must be named by the rule.
 */
import { z } from 'zod'
import { defineAttestor, type Work } from './attestor.ts'
import { accept } from './shared/checked.ts'
import { audience, issuerUrl, seconds } from './shared/settings.ts'
import { type Claims, type ClaimTable, openTypedIssuer, ruleFacts } from './shared/typed-issuer.ts'

const settings = z.strictObject({
  /** gitlab.com, unless it is the address of a self-managed instance. */
  issuer: issuerUrl.default('https://gitlab.com'),
  /** What the job's `id_tokens:` entry asks for (`aud`). */
  audience,
  /** Cap on `exp - iat`: GitLab lets a token live as long as the job may run. */
  max_lifetime_seconds: seconds(86_400).default(3600),
  /** Cap on the time since `iat`, the start of the job. */
  max_age_seconds: seconds(86_400).default(3600),
})

const ID = /^[1-9]\d{0,19}$/
const FLAG = /^(?:true|false)$/
const id = { type: 'string', form: ID } as const
const flag = { type: 'string', form: FLAG } as const
const text = { type: 'string' } as const

const CLAIMS: ClaimTable = {
  namespace_id: { ...id, required: true },
  namespace_path: { ...text, required: true },
  project_id: { ...id, required: true },
  project_path: { ...text, required: true },
  pipeline_id: { ...id, required: true },
  job_id: { ...id, required: true },
  pipeline_source: { ...text, required: true },
  ref: { ...text, required: true },
  ref_type: text,
  ref_path: text,
  ref_protected: { ...flag, required: true },
  sha: text,
  environment: text,
  environment_protected: flag,
  deployment_tier: text,
  environment_action: text,
  user_id: id,
  user_login: text,
  user_access_level: text,
  runner_id: { type: 'integer' },
  runner_environment: text,
  ci_config_ref_uri: text,
  ci_config_sha: text,
  project_visibility: text,
}

/** Each of these runs what somebody with the right to push pushed, or what an owner set up. */
const QUIET_SOURCES = ['push', 'web', 'schedule', 'api']

export const gitlabCi = defineAttestor({
  type: 'gitlab-ci',
  settings,
  rules: ruleFacts(CLAIMS, {
    pinnedBy: {
      claims: ['project_id', 'namespace_id'],
      remedy: 'Find the id on the project’s page, or: glab api projects/GROUP%2FPROJECT | jq .id',
    },
    callerChosen: {
      ref: 'ref_protected',
      ref_path: 'ref_protected',
      environment: 'environment_protected',
      deployment_tier: 'environment_protected',
      environment_action: 'environment_protected',
    },
  }),
  open: (chosen, deps) =>
    openTypedIssuer(
      {
        issuer: chosen.issuer,
        audience: chosen.audience,
        algorithms: ['RS256'],
        maxLifetimeS: chosen.max_lifetime_seconds,
        maxAgeS: chosen.max_age_seconds,
        requireTokenId: true,
        singleUse: true,
        claims: CLAIMS,
        judge: claims =>
          accept({
            work: workOf(chosen.issuer, claims),
            ...(QUIET_SOURCES.includes(String(claims.pipeline_source))
              ? {}
              : { mustName: ['pipeline_source'] }),
          }),
      },
      deps,
    ),
})

/** A job that is run again has another id, so each has one attempt. */
function workOf(issuer: string, claims: Claims): Work {
  return {
    provider: new URL(issuer).host,
    repository: String(claims.project_id),
    repositoryName: String(claims.project_path),
    run: String(claims.pipeline_id),
    attempt: '1',
    job: String(claims.job_id),
  }
}
