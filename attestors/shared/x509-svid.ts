/** What X.509-SVID (sections 2 to 5) asks of a certificate beside RFC 5280: of a workload's, and of an authority's. */
import { type Checked, refuse } from './checked.ts'
import { parseWorkloadId, type SpiffeId, TRUST_DOMAIN } from './spiffe-id.ts'
import { type Certificate, isEmptyName } from './x509-certificate.ts'
import { CLIENT_AUTHENTICATION, SERVER_AUTHENTICATION } from './x509-path.ts'
import { isSignatureAllowed, keyWeakness } from './x509-signatures.ts'

export type SvidRules = { trustDomain: string; maxLifetimeS: number; nowMs: number }

/** Everything that the certificate alone shows: whoever issued it is not looked at here. */
export function judgeWorkload(leaf: Certificate, rules: SvidRules): Checked<SpiffeId> {
  const id = workloadIdOf(leaf)
  if (!id.ok) return id
  if (id.value.trustDomain !== rules.trustDomain)
    return refuse('issuer_not_trusted', 'the SPIFFE ID is of another trust domain')
  const fault = leafFault(leaf)
  if (fault !== undefined) return refuse('certificate_not_acceptable', fault)
  if (!isSignatureAllowed(leaf))
    return refuse('algorithm_not_allowed', 'it is signed by an algorithm that is not allowed')
  const weakness = keyWeakness(leaf)
  if (weakness !== undefined) return refuse('key_not_acceptable', weakness)
  // To the second, as every other reader has it: SPIRE dates SVIDs back for the sake of slow clocks.
  if (rules.nowMs < leaf.notBefore) return refuse('not_yet_valid', 'notBefore is ahead')
  if (rules.nowMs >= leaf.notAfter) return refuse('expired', 'notAfter is past')
  if (leaf.notAfter - leaf.notBefore > rules.maxLifetimeS * 1000)
    return refuse('lifetime_too_long', `valid for more than ${rules.maxLifetimeS} seconds`)
  return id
}

/** Section 2: exactly one URI among the alternative names. */
function workloadIdOf({ uris }: Certificate): Checked<SpiffeId> {
  const [uri, second] = uris
  if (uri === undefined) return refuse('subject_not_acceptable', 'no URI among its alternative names')
  if (second !== undefined)
    return refuse('subject_not_acceptable', 'more than one URI among its alternative names')
  return parseWorkloadId(uri)
}

/** Sections 3 to 5, and RFC 5280 section 4.2.1.6. */
function leafFault(leaf: Certificate): string | undefined {
  const { basicConstraints, keyUsage, extendedKeyUsage: purposes } = leaf
  if (basicConstraints?.ca === true) return "an authority's certificate (cA) authenticates no workload"
  if (keyUsage === undefined) return 'it has no key usage'
  if (!keyUsage.critical) return 'its key usage is not critical'
  if (!keyUsage.uses.has('digitalSignature')) return 'its key may not sign (digitalSignature)'
  if (keyUsage.uses.has('keyCertSign')) return 'its key may sign certificates (keyCertSign)'
  if (keyUsage.uses.has('crlSign')) return 'its key may sign revocation lists (cRLSign)'
  if (purposes !== undefined && !BOTH_ENDS.every(purpose => purposes.includes(purpose)))
    return 'its extended key usage has not both serverAuth and clientAuth'
  if (isEmptyName(leaf.subject) && !leaf.alternativeNameCritical)
    return 'its subject is empty, and its alternative name is not critical'
  if (leaf.notUnderstood.length > 0)
    return `it has an extension that is not understood (${leaf.notUnderstood[0]})`
  return undefined
}

const BOTH_ENDS = [SERVER_AUTHENTICATION, CLIENT_AUTHENTICATION]

/** Section 4.1: an authority need not have a SPIFFE ID; one that has it has its trust domain's own, without a path. */
export function authorityIdFault({ uris }: Certificate, trustDomain: string): string | undefined {
  const ids = uris.filter(uri => /^spiffe:/i.test(uri))
  return ids.every(id => id === `spiffe://${trustDomain}`) ? undefined : 'has the SPIFFE ID of somebody else'
}

/** Whose the first certificate claims to be, by its one SPIFFE ID; unverified. */
export function claimedDomain(alternativeNames: string | undefined): string | undefined {
  const ids = [...(alternativeNames ?? '').matchAll(/(?:^|, )URI:spiffe:\/\/([^/,"]*)/g)]
  const domain = ids.length === 1 ? ids[0]?.[1] : undefined
  return domain !== undefined && TRUST_DOMAIN.test(domain) ? domain : undefined
}
