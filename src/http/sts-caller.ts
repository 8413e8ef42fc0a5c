/**
 * `GetCallerIdentity`, which configure-aws-credentials asks of the endpoint that it was given the session by. The
 * signature cannot be checked, since Mayfly keeps no secret keys to check it with; the session token that comes with
 * it is a secret of its own, by which the ledger knows the session again.
 */
import type { Context } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { secretHash } from '../broker/credentials/lease-plan.ts'
import type { LeaseRow } from '../store/rows.ts'
import type { Env } from './guard.ts'
import type { Parameters } from './sts-parameters.ts'
import { StsRefusal, validationError } from './sts-refusal.ts'
import type { Xml } from './sts-xml.ts'

/** The access key id of a SigV4 header: `Credential=ID/20261122/eu-central-1/sts/aws4_request`. */
const CREDENTIAL = /^AWS4-HMAC-SHA256 Credential=(\w{16,128})\//
const KNOWN: ReadonlySet<string> = new Set(['Action', 'Version'])

/** @param issuers whose sessions are answered for. @throws StsRefusal */
export async function callerIdentity(
  c: Context<Env>,
  parameters: Parameters,
  issuers: readonly string[],
): Promise<Xml> {
  const unknown = [...parameters.keys()].find(name => !KNOWN.has(name))
  if (unknown !== undefined) throw validationError(`the parameter ${unknown.slice(0, 40)} is not supported`)
  const accessKey = CREDENTIAL.exec(c.req.header('authorization') ?? '')?.[1]
  const token = c.req.header('x-amz-security-token')
  if (accessKey === undefined || token === undefined)
    throw new StsRefusal('MissingAuthenticationToken', 403, 'a request signed with a session is expected')
  const broker = c.get('broker')
  const lease = await sessionOf(broker, accessKey, token)
  if (lease === undefined || !issuers.includes(lease.issuer))
    throw new StsRefusal('InvalidClientTokenId', 403, 'the session was not opened by this broker')
  const task = await broker.ledger.read.task(lease.task)
  if (lease.state !== 'active' || task?.state !== 'active')
    throw new StsRefusal('ExpiredToken', 403, 'the session is over: its task has ended')
  const { role } = JSON.parse(lease.granted) as { role: string }
  const [, partition, , , account = ''] = role.split(':')
  const name = role.slice(role.lastIndexOf('/') + 1)
  return { Arn: `arn:${partition}:sts::${account}:assumed-role/${name}/${lease.id}`, Account: account }
}

/** Both must be of one session: of a key alone nothing is said. */
async function sessionOf(
  { ledger: { read } }: Broker,
  accessKey: string,
  token: string,
): Promise<LeaseRow | undefined> {
  const [lease, keyed] = await Promise.all([
    read.leaseByPrint(secretHash(token)),
    read.leaseByPrint(secretHash(accessKey)),
  ])
  return lease !== undefined && lease.id === keyed?.id ? lease : undefined
}
