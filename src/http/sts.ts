/**
 * An STS for AWS's SDKs: `AssumeRoleWithWebIdentity` opens a task with the web identity as evidence and answers with
 * its first credential, in AWS's query protocol. Nobody is given the task's token: the task ends with its CI job, at
 * its deadline, or by an operator (docs/aws-facade.md).
 */
import { Hono } from 'hono'
import { peekClaim } from '../../attestors/shared/compact-jws.ts'
import type { Broker } from '../broker/broker.ts'
import type { Credential } from '../broker/credentials/issue-credential.ts'
import { askForRole } from '../broker/tasks/ask-for-role.ts'
import { cameTooSoon } from '../broker/tasks/claim-evidence.ts'
import { firstCredential } from '../broker/tasks/first-credential.ts'
import { type OpenedTask, openTask } from '../broker/tasks/open-task.ts'
import { withFreshConfiguration } from '../broker/with-fresh-configuration.ts'
import type { Env } from './guard.ts'
import { HttpRefusal } from './problem.ts'
import type { ExchangeGate } from './rate-limit.ts'
import { callerIdentity } from './sts-caller.ts'
import { type Parameters, readParameters } from './sts-parameters.ts'
import { StsRefusal, xmlResponse } from './sts-refusal.ts'
import { type AssumeRole, readAssumeRole } from './sts-request.ts'
import { type Xml, xmlDocument } from './sts-xml.ts'

export type StsEndpoint = {
  path: string
  /** Names of `aws-sts` issuers. */
  issuers: readonly string[]
}

/** SDKs disagree on the slash at the end of an endpoint with a path. */
export function stsPaths(endpoint: StsEndpoint | undefined): readonly string[] {
  if (endpoint === undefined) return []
  return endpoint.path === '/' ? ['/'] : [endpoint.path, `${endpoint.path}/`]
}

export function stsRoutes(endpoint: StsEndpoint, exchanges: ExchangeGate): Hono<Env> {
  const routes = new Hono<Env>()
  for (const path of stsPaths(endpoint)) {
    routes.post(path, async c => {
      const parameters = await readParameters(c, c.get('broker').limits.bodyBytes)
      const action = actionOf(parameters)
      const result =
        action === 'GetCallerIdentity'
          ? await callerIdentity(c, parameters, endpoint.issuers)
          : await exchanges.pass(c.get('source'), () =>
              assumeRole(c.get('broker'), readAssumeRole(parameters), endpoint),
            )
      const requestId = c.get('requestId')
      const body = xmlDocument(`${action}Response`, {
        [`${action}Result`]: result,
        ResponseMetadata: { RequestId: requestId },
      })
      return xmlResponse(200, requestId, body)
    })
    routes.all(path, () => {
      throw new HttpRefusal(405, 'only POST is accepted here', { allow: 'POST' })
    })
  }
  return routes
}

const ACTIONS = ['AssumeRoleWithWebIdentity', 'GetCallerIdentity'] as const
const VERSION = '2011-06-15'

function actionOf(parameters: Parameters): (typeof ACTIONS)[number] {
  const [action, version] = [parameters.get('Action'), parameters.get('Version')]
  if (action === undefined || action === '')
    throw new StsRefusal('MissingAction', 400, 'the parameter Action is missing')
  const known = version === VERSION ? ACTIONS.find(one => one === action) : undefined
  if (known !== undefined) return known
  const asked = `${action.slice(0, 64)} for version ${(version ?? 'none').slice(0, 16)}`
  const answered = `${ACTIONS.join(' and ')} of ${VERSION}`
  throw new StsRefusal('InvalidAction', 400, `could not find ${asked}: ${answered} are answered`)
}

async function assumeRole(broker: Broker, request: AssumeRole, endpoint: StsEndpoint): Promise<Xml> {
  try {
    const { opened, credential } = await openAndMint(broker, request, endpoint)
    return answerOf(request, opened, credential)
  } catch (error) {
    if (!cameTooSoon(broker, error)) throw error
    const seconds = String(Math.ceil(broker.limits.reissueFloorMs / 1_000))
    throw new StsRefusal('ServiceUnavailable', 503, 'the same request is being answered; try again', {
      'retry-after': seconds,
    })
  }
}

async function openAndMint(
  broker: Broker,
  { role, statements, token, sessionName, minutes }: AssumeRole,
  { issuers }: StsEndpoint,
): Promise<{ opened: OpenedTask; credential: Credential }> {
  const evidence = { type: 'jwt', token } as const
  const wish = { role, issuers, ...(statements === undefined ? {} : { statements }) }
  // SDKs make the session's name up anew for each call, and keep it for a retry: so a retry is told from another call.
  const purpose = `AWS session ${sessionName}`
  const opened = await withFreshConfiguration(broker, async within => {
    const asks = [await askForRole(within, evidence, wish)]
    return openTask(within, { evidence, asks, purpose, minutes, mintFirst: true, cannotWait: true })
  })
  return { opened, credential: await firstCredential(broker, opened) }
}

type Session = { AccessKeyId: string; SecretAccessKey: string; SessionToken: string }

function answerOf({ token }: AssumeRole, { task }: OpenedTask, credential: Credential): Xml {
  const { AccessKeyId, SecretAccessKey, SessionToken } = JSON.parse(credential.secret.reveal()) as Session
  const { issuer, subject } = JSON.parse(task.identity) as { issuer: string; subject: string }
  const { session_arn, assumed_role_id } = credential.details
  const audience = peekClaim(token, 'aud')
  // Nobody sends heartbeats for it, so where the agent must, the session ends with the first silence.
  const ends = [
    credential.expiresAt,
    credential.providerExpiresAt,
    task.heartbeat_due ?? Number.POSITIVE_INFINITY,
  ]
  return {
    SubjectFromWebIdentityToken: subject,
    Audience: String(Array.isArray(audience) ? audience[0] : audience),
    AssumedRoleUser: { AssumedRoleId: text(assumed_role_id), Arn: text(session_arn) },
    Credentials: {
      ...{ AccessKeyId, SecretAccessKey, SessionToken },
      Expiration: `${new Date(Math.min(...ends)).toISOString().slice(0, 19)}Z`,
    },
    // As the issuer sets it: by this the ledger, CloudTrail and denials speak of the same session.
    SourceIdentity: credential.lease,
    Provider: issuer,
  }
}

const text = (detail: string | number | undefined) => (detail === undefined ? undefined : String(detail))
