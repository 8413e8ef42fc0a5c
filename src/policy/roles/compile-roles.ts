/**
 * Role policies to a set that can be judged by, or the first problem found: loaded whole or not at all, and only
 * where they fit the schema without a warning.
 *
 * They are the operator's own files, within the bounds of every policy file, and what is judged by them is small
 * and flat (role-call.ts): so they are judged in this thread.
 */
import { createHash } from 'node:crypto'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { LIMITS } from '../../limits.ts'
import { said } from '../cedar/compile.ts'
import { scanPolicies } from '../cedar/scan.ts'
import { ROLE_SCHEMA } from './role-schema.ts'

export type RoleFile = { name: string; text: string }
export type RoleProblem = { file: string; line?: number; message: string }
export type CompiledRoles = { hash: string; setName: string; schemaName: string }

export function compileRoles(
  files: readonly RoleFile[],
): { ok: true; roles: CompiledRoles } | { ok: false; problem: RoleProblem } {
  const policies = new Map<string, string>()
  for (const { name: file, text } of files) {
    const scanned = scanPolicies(text)
    if (!scanned.ok) return { ok: false, problem: { file, line: scanned.line, message: scanned.message } }
    for (const piece of scanned.pieces) {
      const refuse = (message: string) =>
        ({ ok: false, problem: { file, line: piece.line, message } }) as const
      const parsed = cedar.policyToJson(piece.text)
      if (parsed.type === 'failure') return refuse(said(parsed.errors))
      const id = parsed.json.annotations?.id
      if (typeof id !== 'string' || id === '') return refuse('expected an @id("...")')
      if (policies.has(id)) return refuse(`expected an @id of its own: ${id} is there already`)
      policies.set(id, piece.text)
    }
  }
  if (policies.size > LIMITS.policies)
    return { ok: false, problem: { file: files[0]!.name, message: `expected at most ${LIMITS.policies}` } }
  const fault = schemaFault(policies)
  if (fault !== undefined) return { ok: false, problem: { file: files[0]?.name ?? '', message: fault } }
  return { ok: true, roles: hold(policies) }
}

function schemaFault(policies: ReadonlyMap<string, string>): string | undefined {
  const answer = cedar.validate({
    schema: ROLE_SCHEMA,
    policies: { staticPolicies: Object.fromEntries(policies) },
    validationSettings: { mode: 'strict' },
  })
  if (answer.type === 'failure') return said(answer.errors)
  const found = [...answer.validationErrors, ...answer.validationWarnings]
  const [first] = found.map(({ policyId, error }) => `${policyId}: ${said([error])}`)
  const [other] = answer.otherWarnings.map(({ message }) => message)
  return first ?? other
}

/** Cedar keeps a parsed set under its name for good: one name for each set, however often it is loaded. */
function hold(policies: ReadonlyMap<string, string>): CompiledRoles {
  const sorted = [...policies].sort(([a], [b]) => (a < b ? -1 : 1))
  const hash = createHash('sha256')
    .update(JSON.stringify([ROLE_SCHEMA, sorted]))
    .digest('hex')
  const [setName, schemaName] = [`roles ${hash}`, 'roles schema']
  const set = cedar.preparsePolicySet(setName, { staticPolicies: Object.fromEntries(sorted) })
  const schema = cedar.preparseSchema(schemaName, ROLE_SCHEMA)
  for (const answer of [set, schema]) if (answer.type === 'failure') throw new Error(said(answer.errors))
  return { hash, setName, schemaName }
}
