/** SPIFFE IDs (SPIFFE-ID section 2), as strict as go-spiffe: `spiffe://trust-domain/path`. */
import { accept, type Checked, refuse } from './checked.ts'

export type SpiffeId = { trustDomain: string; path: string }

/** What identities have as claims: the parts of their SPIFFE ID. */
export const SPIFFE_CLAIM_TYPES = { trust_domain: 'string', path: 'string' } as const

const MAX_ID_CHARACTERS = 2048
export const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/
const SEGMENT = /^[A-Za-z0-9._-]+$/

/** A workload's ID. The trust domain's own (no path) is not one, and neither is anything that is not plain. */
export function parseWorkloadId(text: string): Checked<SpiffeId> {
  if (!text.startsWith('spiffe://') || text.length > MAX_ID_CHARACTERS) {
    return refuse('subject_not_acceptable', 'not a SPIFFE ID')
  }
  const [trustDomain = '', ...segments] = text.slice('spiffe://'.length).split('/')
  if (!TRUST_DOMAIN.test(trustDomain)) return refuse('subject_not_acceptable', 'trust domain not well-formed')
  if (segments.length === 0)
    return refuse('subject_not_acceptable', 'the trust domain itself, not a workload')
  if (!segments.every(segment => SEGMENT.test(segment) && segment !== '.' && segment !== '..')) {
    return refuse('subject_not_acceptable', 'path not well-formed')
  }
  return accept({ trustDomain, path: `/${segments.join('/')}` })
}

export function spiffeClaims({ trustDomain, path }: SpiffeId) {
  return { trust_domain: trustDomain, path }
}

/** Whose ID it claims to be, however the rest of it looks. */
export function trustDomainOf(text: string): string | undefined {
  return /^spiffe:\/\/([^/]*)/.exec(text)?.[1]
}
