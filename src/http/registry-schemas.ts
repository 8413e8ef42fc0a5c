/** The bodies and queries of `/v1/registry`. */
import { z } from '@hono/zod-openapi'
import { LIMITS } from '../limits.ts'
import { RESOURCE_KINDS } from '../registry/resource.ts'
import { idTokenShape } from './operator-schemas.ts'

export const kindShape = z.enum(RESOURCE_KINDS)
const name = z.string().min(1).max(LIMITS.nameChars)
const resource = z.strictObject({ kind: kindShape, name })

/** One resource: YAML as in a file, with its `kind`; or the same as an object. */
const documentShape = z.union([
  z.strictObject({
    source: z.string().min(1).max(LIMITS.labelChars).default('document'),
    text: z.string().min(1).max(LIMITS.configFileChars),
  }),
  z.strictObject({ document: z.looseObject({ kind: kindShape, name }) }),
])

const setShape = {
  documents: z.array(documentShape).max(LIMITS.registryDocuments).default([]),
  remove: z.array(resource).max(LIMITS.registryDocuments).default([]),
  /** Of these namespaces everything goes that is not among the documents. */
  prune: z.array(name).max(LIMITS.namespaces).default([]),
  /** What settings call `secret:NAME`. Sealed in the ledger, and answered by nothing. */
  secrets: z
    .array(
      z.strictObject({
        kind: z.enum(['attestor', 'issuer']),
        resource: name,
        name: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/),
        value: z.string().min(1).max(LIMITS.registrySecretChars),
      }),
    )
    .max(LIMITS.registryDocuments)
    .default([]),
}

export const planBody = z.strictObject(setShape).openapi('PlanRegistry')
export const applyBody = z
  .strictObject({
    ...setShape,
    plan: z.strictObject({ generation: z.int().min(0), digest: z.string().regex(/^[0-9a-f]{64}$/) }),
    reason: z
      .string()
      .min(1)
      .max(LIMITS.reasonChars)
      .regex(/^(?:\P{Cc}|[\n\t])*$/u, 'must not hold control characters'),
    /** Of a sign-in for the plan's digest; a human's alone. */
    id_token: idTokenShape.optional(),
  })
  .openapi('ApplyRegistry')
export const versionsQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(LIMITS.registryVersions).default(LIMITS.registryVersions),
  after: z.coerce.number().int().min(1).optional(),
})
