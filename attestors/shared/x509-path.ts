/**
 * Certification paths (RFC 5280 section 6.1): whether an authority of a given list vouches for a certificate. The
 * authorities are that list alone, and each is held to what any other is held to, its own signature excepted.
 *
 * Less is understood than the standard has, and what is not is refused: name constraints, policy constraints,
 * revocation lists. SPIFFE has none of them: what is revoked leaves the bundle, or is not renewed.
 */
import { accept, type Checked, type Refusal, refuse } from './checked.ts'
import { type Certificate, isEmptyName, same } from './x509-certificate.ts'
import { isSignatureAllowed, isSignedBy, keyWeakness } from './x509-signatures.ts'

/** A leaf, its authorities and the last of them: SPIRE's nested servers need four. */
export const MAX_PATH = 8
/** Paths that are tried where many have the same names. */
const MAX_ATTEMPTS = 32

export type PathRules = {
  /** Epoch milliseconds. */
  nowMs: number
  /** @returns what else is wrong with an authority, or undefined */
  judgeAuthority(authority: Certificate): string | undefined
}

/**
 * @param presented what came with the leaf, in any order; nobody has looked at it
 * @param trusted the authorities
 * @returns the path from the leaf to one of them; `chain_not_trusted`, `signature_invalid`
 */
export function findPath(
  leaf: Certificate,
  presented: readonly Certificate[],
  trusted: readonly Certificate[],
  rules: PathRules,
): Checked<readonly Certificate[]> {
  let failure: Refusal = refuse('chain_not_trusted', 'no authority of the bundle vouches for it')
  let attempts = 0
  for (const path of pathsByName(leaf, presented, trusted)) {
    const judged = judgePath(path, rules)
    if (judged.ok) return judged
    failure = judged
    attempts += 1
    if (attempts === MAX_ATTEMPTS) break
  }
  return failure
}

/** Every way from the leaf to an authority, by issuer and subject alone, shortest first; none goes in a circle. */
function* pathsByName(
  leaf: Certificate,
  presented: readonly Certificate[],
  trusted: readonly Certificate[],
): Generator<readonly Certificate[]> {
  let open: (readonly Certificate[])[] = [[leaf]]
  for (let length = 1; length < MAX_PATH && open.length > 0; length += 1) {
    for (const path of open)
      for (const authority of trusted) if (isNamedIssuer(authority, path.at(-1)!)) yield [...path, authority]
    open = open
      .flatMap(path =>
        presented
          .filter(next => isNamedIssuer(next, path.at(-1)!) && !path.some(one => same(one.der, next.der)))
          .map(next => [...path, next]),
      )
      .slice(0, MAX_ATTEMPTS)
  }
}

function isNamedIssuer(authority: Certificate, { issuer }: Certificate): boolean {
  return !isEmptyName(issuer) && same(authority.subject, issuer)
}

/** From the authority that is trusted down to the leaf, so that no key is used before somebody vouched for it. */
function judgePath(path: readonly Certificate[], rules: PathRules): Checked<readonly Certificate[]> {
  let issuer: Certificate | undefined
  // Of authorities below, those not counted that are issued to their issuer's own name (section 6.1.4 (l), (m)).
  let allowedBelow = Number.POSITIVE_INFINITY
  for (const authority of path.slice(1).reverse()) {
    const wrong = authorityFault(authority, rules)
    if (wrong !== undefined) return refuse('chain_not_trusted', `an authority of its chain ${wrong}`)
    if (issuer !== undefined) {
      const unsigned = signatureFault(authority, issuer)
      if (unsigned !== undefined)
        return refuse(unsigned, 'an authority of its chain is not signed by the next')
      if (!same(authority.issuer, authority.subject)) allowedBelow -= 1
      if (allowedBelow < 0) return refuse('chain_not_trusted', 'the chain is longer than an authority allows')
    }
    allowedBelow = Math.min(allowedBelow, authority.basicConstraints?.pathLength ?? Number.POSITIVE_INFINITY)
    issuer = authority
  }
  const [leaf] = path
  if (leaf === undefined || issuer === undefined)
    return refuse('chain_not_trusted', 'no authority in the chain')
  const unsigned = signatureFault(leaf, issuer)
  return unsigned === undefined
    ? accept(path)
    : refuse(unsigned, 'it is not signed by the authority it names')
}

function signatureFault(certificate: Certificate, issuer: Certificate) {
  if (!isSignatureAllowed(certificate)) return 'algorithm_not_allowed' as const
  return isSignedBy(certificate, issuer) ? undefined : ('signature_invalid' as const)
}

/** @returns in what it is no authority that may vouch for anybody now */
function authorityFault(authority: Certificate, { nowMs, judgeAuthority }: PathRules): string | undefined {
  const { basicConstraints, keyUsage, extendedKeyUsage: purposes } = authority
  if (basicConstraints?.ca !== true) return 'may not issue (cA)'
  if (keyUsage?.uses.has('keyCertSign') !== true) return 'may not issue (keyCertSign)'
  if (nowMs < authority.notBefore) return 'is not yet valid'
  if (nowMs >= authority.notAfter) return 'is expired'
  if (authority.notUnderstood.length > 0)
    return `has an extension that is not understood (${authority.notUnderstood[0]})`
  // Not of RFC 5280, and what every TLS library does: the purposes of an authority bound those below it.
  if (purposes !== undefined && !purposes.some(id => id === CLIENT_AUTHENTICATION || id === ANY_PURPOSE))
    return 'may not vouch for clients (extKeyUsage)'
  const weakness = keyWeakness(authority)
  if (weakness !== undefined) return `has a key that is not acceptable: ${weakness}`
  return judgeAuthority(authority)
}

export const SERVER_AUTHENTICATION = '1.3.6.1.5.5.7.3.1'
export const CLIENT_AUTHENTICATION = '1.3.6.1.5.5.7.3.2'
const ANY_PURPOSE = '2.5.29.37.0'
