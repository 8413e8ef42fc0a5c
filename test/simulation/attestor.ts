/** Evidence that anybody can write and only the oracle can count: attestation has its own tests. */
import type { Attestor, Evidence, Work } from '../../attestors/attestor.ts'

export type SimEvidence = { id: string; kind: string; until: number; work?: Work }

export function evidenceOf(content: SimEvidence): Evidence {
  return { type: 'jwt', token: JSON.stringify(content) }
}

export function simulatedAttestor(now: () => number): Attestor {
  return {
    recognises: () => true,
    async attest(evidence) {
      if (evidence.type !== 'jwt') return { ok: false, rejection: 'malformed', detail: 'not a token' }
      // Written by `evidenceOf`, by nobody else.
      const { id, kind, until, work } = JSON.parse(evidence.token) as SimEvidence
      if (until <= now() - 60_000) return { ok: false, rejection: 'expired', detail: 'too late' }
      const replay = { id, singleUse: true, until }
      const proof = { issuer: 'https://sim', subject: kind, claims: { kind }, replay }
      return { ok: true, proof: work === undefined ? proof : { ...proof, work } }
    },
  }
}
