/** Claims that the settings name, each with its type: what agent rules and policy may look at. */
import { z } from 'zod'
import { hasControlCharacters } from './claims.ts'
import { CLAIM_TYPES, type ClaimSpec, type ClaimTable } from './typed-issuer.ts'

const MAX_EXPOSED_CLAIMS = 64

export const claimName = z
  .string()
  .min(1)
  .max(256)
  .refine(name => name !== '__proto__' && !hasControlCharacters(name), 'is not usable as a claim name')

export const exposedClaims = z
  .record(claimName, z.enum(CLAIM_TYPES))
  .refine(
    claims => Object.keys(claims).length <= MAX_EXPOSED_CLAIMS,
    `must not name more than ${MAX_EXPOSED_CLAIMS} claims`,
  )
  .default({})

/** @param demand what is asked of each beside its type */
export function claimTable(
  claims: Readonly<Record<string, ClaimSpec['type']>>,
  demand: Pick<ClaimSpec, 'required'> = {},
): ClaimTable {
  return Object.fromEntries(Object.entries(claims).map(([name, type]) => [name, { type, ...demand }]))
}
