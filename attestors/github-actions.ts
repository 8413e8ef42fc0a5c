/**
 * Attests GitHub Actions jobs by the ID token of their run. Claims and forms: GitHub Docs, "OpenID Connect
 * reference" (content/actions/reference/security/oidc.md).
 *
 * - Ids are what rules should match: names can be given to somebody else. GitHub writes ids as strings; a
 *   number is refused.
 * - `sub` comes in two forms and can be customised by every organisation and repository, so nothing is read
 *   out of it. Where it carries ids they must be the ids of the claims.
 * - Some events let people without write access start, or shape, a run that has the base repository's
 *   trust. For these an agent's rule must name the event; see {@link QUIET_EVENTS}.
 */
import { z } from 'zod'
import { defineAttestor, type Proof, type Work } from './attestor.ts'
import { accept, type Checked, refuse } from './shared/checked.ts'
import { hasControlCharacters } from './shared/claims.ts'
import { namesAudience, namesIssuer, oidcKeys, oidcProfile } from './shared/oidc-profile.ts'
import { audience, issuerUrl, seconds } from './shared/settings.ts'
import { type JsonObject, member } from './shared/strict-json.ts'
import { tell } from './shared/tell.ts'
import { verifyEvidence } from './shared/verify-jwt.ts'

const settings = z
  .strictObject({
    /**
     * github.com, unless it is `https://token.actions.githubusercontent.com/<enterprise slug>`,
     * `https://token.actions.<subdomain>.ghe.com` or, on GHES, `https://<host>/_services/token`.
     */
    issuer: issuerUrl.default('https://token.actions.githubusercontent.com'),
    /** Asked for by the job (`audience=`). The default that GitHub fills in is the owner's URL: refused. */
    audience,
    /** Cap on `exp - iat`; GitHub's tokens live five minutes. */
    max_lifetime_seconds: seconds(3600).default(900),
    max_age_seconds: seconds(3600).default(300),
  })
  .refine(({ issuer, audience }) => !isDefaultAudience(audience, issuer), {
    path: ['audience'],
    message: 'is the default audience, which every job of that owner gets; choose one of your own',
  })

export const githubActions = defineAttestor({
  type: 'github-actions',
  settings,
  // Names are given again after a rename or a deletion; without an id the next owner would match.
  rules: () => ({
    claimTypes: CLAIM_TYPES,
    pinnedBy: {
      claims: ['repository_id', 'repository_owner_id'],
      subject: { form: SUBJECT_WITH_IDS, example: 'repo:OWNER@ID/REPO@ID:…' },
      remedy: 'Find the id: gh api repos/OWNER/REPO --jq .id',
    },
  }),
  open(chosen, deps) {
    const issuer = { issuer: chosen.issuer, algorithms: ['RS256'] } as const
    const keys = oidcKeys(issuer, deps)
    const profile = oidcProfile(issuer, {
      audience: chosen.audience,
      maxLifetimeS: chosen.max_lifetime_seconds,
      maxAgeS: chosen.max_age_seconds,
      requireIssuedAt: true,
      requireTokenId: true,
    })
    return {
      claimTypes: CLAIM_TYPES,
      recognises: evidence => namesIssuer(evidence, chosen.issuer),
      isFor: evidence => namesAudience(evidence, chosen.audience),
      takes: { issuer: chosen.issuer, audience: chosen.audience },
      async attest(evidence, observe) {
        const verified = await verifyEvidence(evidence, profile, keys, deps.now, observe)
        if (!verified.ok) return verified
        const { subject, payload, replay } = verified.value
        const claims = tell(observe, 'claims', readClaims(payload))
        if (!claims.ok) return claims
        const consistent = tell(observe, 'consistency', checkSubjectIds(subject, claims.value))
        if (!consistent.ok) return consistent
        const mustName = isRisky(claims.value) ? { mustName: ['event_name'] } : {}
        const proof: Proof = {
          issuer: chosen.issuer,
          subject,
          claims: claims.value,
          replay,
          work: workOf(chosen.issuer, claims.value),
          ...mustName,
        }
        return { ok: true, proof }
      },
    }
  },
})

type GithubClaims = Readonly<Record<string, string>>

/** `check_run_id` is also the job's id in GitHub's API and webhooks. Older GHES does not send it. */
function workOf(issuer: string, claims: GithubClaims): Work {
  const { repository_id = '', repository = '', run_id = '', run_attempt = '', check_run_id: job } = claims
  return {
    provider: webHost(new URL(issuer).hostname),
    repository: repository_id,
    repositoryName: repository,
    run: run_id,
    attempt: run_attempt,
    ...(job === undefined ? {} : { job }),
  }
}

const REQUIRED_CLAIMS = [
  'event_name',
  'repository',
  'repository_id',
  'repository_owner',
  'repository_owner_id',
  'run_id',
  'run_attempt',
]
const OPTIONAL_CLAIMS = [
  'actor',
  'actor_id',
  'base_ref',
  'check_run_id',
  'enterprise',
  'enterprise_id',
  'environment',
  'head_ref',
  'job_workflow_ref',
  'job_workflow_sha',
  'ref',
  'ref_protected',
  'ref_type',
  'repository_visibility',
  'run_number',
  'runner_environment',
  'sha',
  'workflow',
  'workflow_ref',
  'workflow_sha',
]
/** GitHub writes every claim as text, ids too. Properties are the organisation's own and are not declared. */
const CLAIM_TYPES = Object.fromEntries(
  [...REQUIRED_CLAIMS, ...OPTIONAL_CLAIMS].map(name => [name, 'string' as const]),
)
/** Custom repository properties: any number of claims, named by the organisation's administrators. */
const PROPERTY_CLAIM = /^repo_property_[\w.-]{1,100}$/
const ID_CLAIM = /_id$|^run_(?:attempt|number)$/
const ID = /^[1-9]\d{0,19}$/
const MAX_CLAIM_CHARACTERS = 2048
const MAX_PROPERTIES = 128

function readClaims(payload: JsonObject): Checked<GithubClaims> {
  const properties = Object.keys(payload).filter(name => PROPERTY_CLAIM.test(name))
  if (properties.length > MAX_PROPERTIES) return refuse('claim_malformed', 'too many repository properties')
  const claims: [string, string][] = []
  for (const name of [...REQUIRED_CLAIMS, ...OPTIONAL_CLAIMS, ...properties]) {
    const value = member(payload, name)
    if (value === undefined && REQUIRED_CLAIMS.includes(name)) return refuse('claim_missing', name)
    if (value === undefined) continue
    if (typeof value !== 'string' || value.length > MAX_CLAIM_CHARACTERS || hasControlCharacters(value)) {
      return refuse('claim_malformed', `${name} is not a usable string`)
    }
    if (value === '' && ID_CLAIM.test(name) && !REQUIRED_CLAIMS.includes(name)) continue
    if (ID_CLAIM.test(name) ? !ID.test(value) : value === '' && REQUIRED_CLAIMS.includes(name)) {
      return refuse('claim_malformed', `${name} is not in GitHub's form`)
    }
    claims.push([name, value])
  }
  return accept(Object.fromEntries(claims))
}

/** The form of `sub` whose ids are held to the claims, in a rule. */
const SUBJECT_WITH_IDS = /^repo:[^/@:]+@[1-9]\d*\/[^/@:]+@[1-9]\d*(?::|$)/

/** `repo:OWNER@OWNERID/REPO@REPOID:…`, the form of repositories made, renamed or moved since July 2026. */
const IMMUTABLE_SUBJECT = /^repo:[^/@:]+@([^/@:]+)\/[^/@:]+@([^/@:]+)(?::|$)/

function checkSubjectIds(subject: string, claims: GithubClaims): Checked<undefined> {
  const ids = IMMUTABLE_SUBJECT.exec(subject)
  if (ids === null) return accept(undefined)
  const [, ownerId, repositoryId] = ids
  if (ownerId === claims.repository_owner_id && repositoryId === claims.repository_id)
    return accept(undefined)
  return refuse('claim_malformed', 'sub carries other ids than the claims')
}

/**
 * Events that only somebody with write access to the repository causes, and whose runs execute what is
 * merged or what that person pushed. Every other event, also one that GitHub adds tomorrow, has to be named
 * by the rule: pull_request_target, issue_comment and workflow_run run with the base repository's trust on
 * a stranger's doing; pull_request runs code that nobody has merged (from a fork too, where an organisation
 * sends write tokens to forks: the token does not tell which).
 */
const QUIET_EVENTS = [
  'push',
  'workflow_dispatch',
  'repository_dispatch',
  'schedule',
  'release',
  'merge_group',
  'create',
  'delete',
]

function isRisky(claims: GithubClaims): boolean {
  return !QUIET_EVENTS.includes(claims.event_name ?? '') || (claims.head_ref ?? '') !== ''
}

/** `https://github.com/OWNER` and its like on ghe.com and GHES, by the issuer's own host. */
function isDefaultAudience(audience: string, issuer: string): boolean {
  if (!URL.canParse(audience)) return false
  const { host, pathname } = new URL(audience)
  return host === webHost(new URL(issuer).host) && /^\/[^/]+\/?$/.test(pathname)
}

function webHost(issuerHost: string): string {
  const host = issuerHost.replace(/^token\.actions\./, '')
  return host === 'githubusercontent.com' ? 'github.com' : host
}
