/** Evidence to identity for the exchange: what is not accepted is written down as anywhere, and told as octo-sts tells it. */
import type { JwtEvidence } from '../../attestors/attestor.ts'
import { peekEvidence } from '../../attestors/shared/compact-jws.ts'
import type { Broker, Identity } from '../broker/broker.ts'
import { examine, rejectEvidence } from '../broker/tasks/attest.ts'
import { GRPC, StsRefusal } from './sts-refusal.ts'
import { isIssuer } from './token-forms.ts'

/** @throws StsRefusal, BrokerError `attestation_unavailable` */
export async function attestedFor(broker: Broker, evidence: JwtEvidence): Promise<Identity> {
  const examined = await examine(broker, evidence)
  if (examined.ok) return examined.identity
  const { attestor, rejection, detail } = examined
  const cause = await rejectEvidence(broker, attestor, rejection, detail)
  const refuse = (code: 3 | 16, message: string) => new StsRefusal(code, message, { cause })
  const issuer = peekEvidence(evidence, 'iss')
  if (typeof issuer !== 'string' || issuer === '' || rejection === 'malformed')
    throw refuse(GRPC.invalidArgument, 'invalid bearer token')
  if (!isIssuer(issuer)) throw refuse(GRPC.invalidArgument, 'invalid issuer format')
  if (rejection === 'issuer_not_trusted')
    throw refuse(GRPC.invalidArgument, 'unable to fetch or create the provider')
  throw refuse(GRPC.unauthenticated, 'unable to verify bearer token')
}
