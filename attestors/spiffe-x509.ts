/**
 * Attests workloads by X.509-SVIDs of one trust domain (SPIFFE X509-SVID), shown on a connection whose client
 * proved that it holds the key. Authorities come from that domain's bundle alone, never from the system's store.
 *
 * A certificate is shown again with each connection: a copy of it is worth nothing without the key, so it is not
 * used up. It may be used until it expires.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { z } from 'zod'
import { defineAttestor, type Evidence } from './attestor.ts'
import { bundleSettings, hostOfBundle, openBundle, refuseNotOneBundle } from './shared/bundle-settings.ts'
import { refuse } from './shared/checked.ts'
import { seconds } from './shared/settings.ts'
import { SPIFFE_CLAIM_TYPES, spiffeClaims } from './shared/spiffe-id.ts'
import { tell, timeShown } from './shared/tell.ts'
import { type Certificate, readCertificate, readCertificates } from './shared/x509-certificate.ts'
import { findPath, MAX_PATH } from './shared/x509-path.ts'
import { authorityIdFault, claimedDomain, judgeWorkload } from './shared/x509-svid.ts'

const settings = z
  .strictObject({
    ...bundleSettings,
    /** Cap on the leaf's whole life. SPIRE's default is an hour, Istio's a day and two minutes. */
    max_lifetime_seconds: seconds(366 * 86_400).default(90_000),
  })
  .superRefine(refuseNotOneBundle)

export const spiffeX509 = defineAttestor({
  type: 'spiffe-x509',
  settings,
  usesHost: chosen => hostOfBundle(chosen),
  rules: () => ({ claimTypes: SPIFFE_CLAIM_TYPES }),
  open(chosen, deps) {
    const { now } = deps
    const { trust_domain: trustDomain, max_lifetime_seconds: maxLifetimeS } = chosen
    const bundle = openBundle(chosen, [], deps)
    const authoritiesOf = createAuthorities()
    return {
      claimTypes: SPIFFE_CLAIM_TYPES,
      recognises: evidence => claimsDomain(evidence, trustDomain),
      takes: { issuer: `spiffe://${trustDomain}` },
      async attest(evidence, observe) {
        // 1. The certificate by itself, before anything is looked up for it.
        if (evidence.type !== 'certificates') return refuse('malformed', 'not certificates')
        const [first, ...rest] = evidence.chain
        if (first === undefined || rest.length >= MAX_PATH)
          return refuse('malformed', `expected 1 to ${MAX_PATH} certificates`)
        const read = tell(observe, 'form', readCertificate(first))
        if (!read.ok) return read
        const leaf = read.value
        const nowMs = now()
        const id = tell(
          observe,
          'certificate',
          judgeWorkload(leaf, { trustDomain, maxLifetimeS, nowMs }),
          () => ({
            ...{ expected: `at most ${maxLifetimeS} s`, found: periodShown(leaf) },
          }),
        )
        if (!id.ok) return id

        // 2. Who vouches for it. What this bundle does not know, a newer one might.
        const others = tell(observe, 'chain_form', readCertificates(rest))
        if (!others.ok) return others
        const trusted = authoritiesOf(await bundle.authorities())
        const judgeAuthority = (authority: Certificate) => authorityIdFault(authority, trustDomain)
        const path = findPath(leaf, others.value, trusted, { nowMs, judgeAuthority })
        const doubt = path.ok ? undefined : bundle.doubt()
        if (doubt !== undefined) throw doubt
        tell(observe, 'chain', path, () => ({ found: `${trusted.length} authorities in the bundle` }))
        if (!path.ok) return path

        // 3. What was proven.
        const issuer = `spiffe://${trustDomain}`
        return {
          ok: true,
          proof: {
            ...{ issuer, subject: `${issuer}${id.value.path}` },
            claims: spiffeClaims(id.value),
            boundKey: { 'x5t#S256': thumbprint(leaf) },
            replay: {
              id: `x509/${leaf.signedDigest}`,
              // Whoever shows it holds its key: there is nothing to pin a second use to.
              ...{ singleUse: false, reuse: 'open' },
              until: leaf.notAfter,
              issuedAt: leaf.notBefore,
            },
          },
        }
      },
      ...(bundle.close && { close: bundle.close }),
    }
  },
})

/** Epoch ms, as an operator reads it. */
function periodShown({ notBefore, notAfter }: Certificate): string {
  return `${timeShown(notBefore / 1000)} to ${timeShown(notAfter / 1000)}`
}

/** RFC 8705 section 3.1. */
function thumbprint({ der }: Certificate): string {
  return createHash('sha256').update(der).digest('base64url')
}

/** Unverified: for choosing an attestor only. */
function claimsDomain(evidence: Evidence, trustDomain: string): boolean {
  const [leaf] = evidence.type === 'certificates' ? evidence.chain : []
  if (leaf === undefined) return false
  try {
    return claimedDomain(new X509Certificate(leaf).subjectAltName) === trustDomain
  } catch {
    return false
  }
}

/** Reads a bundle's certificates once for as long as it is the same. What is no certificate vouches for nobody. */
function createAuthorities(): (published: readonly Uint8Array[]) => readonly Certificate[] {
  let last: { published: readonly Uint8Array[]; read: readonly Certificate[] } | undefined
  return published => {
    if (last?.published !== published) {
      const read = published.map(der => readCertificate(der)).flatMap(one => (one.ok ? [one.value] : []))
      last = { published, read }
    }
    return last.read
  }
}
