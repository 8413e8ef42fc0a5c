/** The issuers that an owner takes tokens of: by the operator's word, and by the organization's own list. */
import type { Broker, Identity } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import type { OctoStsOwner } from '../config/octo-sts.ts'
import type { Facade } from './facade.ts'
import type { PolicyFile } from './policy-files.ts'
import { GRPC, StsRefusal } from './sts-refusal.ts'
import { readTrustedIssuers, TRUSTED_ISSUERS_PATH } from './trusted-issuers.ts'

export type Federating = {
  owner: string
  settings: OctoStsOwner
  identity: Pick<Identity, 'attestor' | 'issuer'>
  admit: () => void
}

/**
 * That there is no list is an answer; that it cannot be read, or the App does not reach where it would stand, is none,
 * and lets nobody in.
 *
 * @throws StsRefusal
 */
export async function demandTrustedIssuer(
  facade: Facade,
  broker: Broker,
  { owner, settings, identity, admit }: Federating,
): Promise<void> {
  if (!settings.attestors.includes(identity.attestor)) {
    const remedy = `a token with the audience of ${settings.attestors.join(' or ')}, or that attestor in octo_sts.owners.${owner}.attestors`
    broker.log.warn({ owner, attestor: identity.attestor, remedy }, 'a token is of an attestor of others')
    throw notPermitted()
  }
  if (!settings.trusted_issuers_file) return
  const repository = facade.settings.organization_repository
  const place = { issuer: settings.issuer, owner, repository, path: TRUSTED_ISSUERS_PATH }
  const read = await facade.files.read(broker, place, admit).catch(error => {
    throw lookupFailed(error)
  })
  if (read.state === 'missing') return
  const where = `${owner}/${repository}/${TRUSTED_ISSUERS_PATH}`
  if (read.state === 'out_of_reach') {
    const remedy = `install the App on ${owner}/${repository}, or set octo_sts.owners.${owner}.trusted_issuers_file: false`
    broker.log.error({ alarm: 'trusted_issuers_unknown', list: where, remedy }, 'nobody is let in')
    throw unavailable()
  }
  const list = listOf(broker, where, read)
  if (list.permits(identity.issuer)) return
  broker.log.warn({ list: where, issuer: identity.issuer, mode: list.mode }, 'an issuer is not on the list')
  if (list.mode === 'enforce') throw notPermitted()
}

function listOf(
  { log }: Pick<Broker, 'log'>,
  where: string,
  { file }: Extract<PolicyFile, { state: 'found' }>,
) {
  const read =
    'unreadable' in file
      ? { ok: false as const, problems: [file.unreadable] }
      : readTrustedIssuers(where, file.text)
  if (read.ok) return read.value
  log.error({ alarm: 'trusted_issuers_invalid', list: where, problems: read.problems }, 'nobody is let in')
  throw new StsRefusal(GRPC.failedPrecondition, 'organization trusted-issuer configuration is invalid')
}

function lookupFailed(error: unknown): unknown {
  if (!(error instanceof BrokerError)) return error
  const { code, retryAfterMs } = error
  const options = { cause: error, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  if (code === 'rate_limited')
    return new StsRefusal(GRPC.resourceExhausted, 'organization trusted-issuer lookup rate limited', options)
  return code === 'provider_unavailable' ? unavailable(options) : error
}

const unavailable = (options = {}) =>
  new StsRefusal(GRPC.unavailable, 'organization trusted-issuer lookup unavailable', options)
const notPermitted = () =>
  new StsRefusal(GRPC.permissionDenied, 'issuer not permitted by organization policy')
