/**
 * The exchange of octo-sts: a workload's OIDC token in, a token of a GitHub App out, by what a file in the repository
 * says and the operator's ceiling allows. In the order of octo-sts, and with its sentences (WIRE: `octo-sts cmd/app`).
 */
import { peekClaim } from '../../attestors/shared/compact-jws.ts'
import type { Broker, Identity } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import type { Credential } from '../broker/credentials/issue-credential.ts'
import { denyUnmatched } from '../broker/tasks/deny-unmatched.ts'
import { firstCredential } from '../broker/tasks/first-credential.ts'
import { openTask } from '../broker/tasks/open-task.ts'
import { withFreshConfiguration } from '../broker/with-fresh-configuration.ts'
import type { OctoStsOwner } from '../config/octo-sts.ts'
import { judgeTrust } from '../policy/trust/trust-rule.ts'
import { attestedFor } from './attested.ts'
import { demandTrustedIssuer } from './demand-trusted-issuer.ts'
import { agentOf, type Facade, type FoundPolicy, ownerOf, parsePolicy } from './facade.ts'
import { identityAgentName } from './identity-agent.ts'
import { registerIdentity, withdrawIdentity } from './register-identity.ts'
import { policyPath, readIdentity, readScope, type Scope } from './scope.ts'
import { GRPC, StsRefusal } from './sts-refusal.ts'
import { isAudience, isIssuer, isSubject } from './token-forms.ts'

/** As it came. Absent: empty. */
export type StsRequest = { token: string; scope: string; identity: string }

export type Exchanged = {
  credential: Credential
  task: string
  /** What the policy says and the ceiling does not allow. */
  narrowed: readonly string[]
}

/** @throws StsRefusal, and BrokerError for what the broker itself refuses */
export async function exchange(facade: Facade, broker: Broker, request: StsRequest): Promise<Exchanged> {
  // 1. Who this is, by an attestor of the operator's: no other issuer is ever asked anything.
  const evidence = { type: 'jwt', token: request.token } as const
  const identity = await attestedFor(broker, evidence)
  const caller = callerOf(identity)

  // 2. Which policy, and what of the owner the operator has settled.
  const scope = readScope(request.scope, facade.settings.organization_repository)
  const name = readIdentity(request.identity)
  const settings = ownerOf(facade, scope.owner)
  if (settings === undefined)
    throw new StsRefusal(GRPC.notFound, `no installation found for ${JSON.stringify(scope.owner)}`)
  const admit = () => facade.admitRead(caller, scope.owner.toLowerCase())
  await demandTrustedIssuer(facade, broker, { owner: scope.owner, settings, identity, admit })

  // 3. The file, and whether this is whom it stands for.
  const found = await findPolicy(facade, broker, { scope, name, settings, admit })
  const audiences = audiencesOf(request.token)
  demandForms(identity, audiences)
  const { document, ask, narrowed } = agentOf(facade, broker, found, settings)
  const verdict = judgeTrust(document.trust!, identity, audiences)
  if (!verdict.ok) {
    const match = { ok: false, why: 'none', near: `${document.name}: ${verdict.why}` } as const
    const cause = await denyUnmatched(broker, identity, match)
    throw new StsRefusal(GRPC.permissionDenied, verdict.why, { cause })
  }

  // 4. The identity as a registered agent, and a task of it with the token.
  await registerIdentity(broker, facade.registry, document)
  if (narrowed.length > 0) broker.log.warn({ agent: document.name, narrowed }, 'a trust policy was narrowed')
  const opened = await withFreshConfiguration(broker, within =>
    openTask(within, {
      ...{ evidence, agent: document.name, trusted: { audiences } },
      ...{ mintFirst: true, cannotWait: true },
      purpose: document.purpose,
      minutes: settings.limits.task_minutes,
      asks: [{ issuer: settings.issuer, ask }],
    }),
  )
  return { credential: await firstCredential(broker, opened), task: opened.task.id, narrowed }
}

/** @throws StsRefusal */
async function findPolicy(
  facade: Facade,
  broker: Broker,
  { scope, name, settings, admit }: { scope: Scope; name: string; settings: OctoStsOwner; admit: () => void },
): Promise<FoundPolicy> {
  const { owner, repository, isOrganization } = scope
  const place = { issuer: settings.issuer, owner, repository, path: policyPath(name) }
  const read = await facade.files.read(broker, place, admit).catch(error => {
    throw error instanceof BrokerError && error.code === 'rate_limited' ? limited(owner, error) : error
  })
  if (read.state === 'found') return parsePolicy(broker, read.file, { identity: name, isOrganization })
  if (read.state === 'missing') {
    const at = { owner, repository: isOrganization ? undefined : repository, identity: name }
    const agent = identityAgentName(facade.settings.namespace, at)
    await withdrawIdentity(broker, facade.registry, agent)
  }
  throw new StsRefusal(GRPC.notFound, `unable to find trust policy for ${JSON.stringify(name)}`)
}

function limited(owner: string, cause: BrokerError): StsRefusal {
  const { retryAfterMs } = cause
  const options = { cause, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  return new StsRefusal(
    GRPC.resourceExhausted,
    `GitHub API rate limit exceeded for ${JSON.stringify(owner)}`,
    options,
  )
}

/** Whoever looks for files counts as one, however many workflows they write. */
function callerOf({ attestor, subject, claims }: Identity): string {
  const { repository_owner_id: owner } = claims
  return `${attestor} ${typeof owner === 'string' ? `owner ${owner}` : subject}`
}

/** Of a token that was verified. */
function audiencesOf(token: string): string[] {
  return [peekClaim(token, 'aud')].flat().filter(one => typeof one === 'string')
}

/** @throws StsRefusal */
function demandForms({ issuer, subject }: Identity, audiences: readonly string[]): void {
  const refuse = (what: string) => new StsRefusal(GRPC.invalidArgument, `invalid ${what} in token`)
  if (!isIssuer(issuer)) throw refuse('issuer')
  if (!isSubject(subject)) throw refuse('subject')
  if (!audiences.every(isAudience)) throw refuse('audience')
}
