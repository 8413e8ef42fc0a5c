/**
 * Policy files to a set that can be judged by, or every problem found. A set is loaded whole or not at all: each
 * policy has an id of its own, fits the schema in strict mode, causes neither an error nor a warning, and compares no
 * identity by a pattern.
 *
 * This file and judge.ts are the only ones that hand anything to Cedar. A policy that slips past the bounds can
 * overrun its WebAssembly module, which is of no use afterwards: a broker calls them in a worker thread.
 */
import { createHash } from 'node:crypto'
import type { DetailedError, PolicyJson, ValidationError } from '@cedar-policy/cedar-wasm/nodejs'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { LIMITS } from '../../limits.ts'
import {
  type ApprovalRequirement,
  HELD_NAMES,
  type HeldName,
  type PolicyNeeds,
  type PolicyRequest,
} from '../facts.ts'
import { readAnnotations } from './annotations.ts'
import { trimmer } from './cedar-call.ts'
import { likeFindings } from './lint-identity.ts'
import { type Reads, readsMember, readsOf } from './reads.ts'
import { type Piece, scanPolicies } from './scan.ts'
import { cedarSchema, quoted } from './schema.ts'
import type { Vocabulary } from './vocabulary.ts'

export type PolicyFile = {
  name: string
  text: string
  /**
   * Whose it is, where it is not the operator's own. A team's policies only forbid, and only to its own agents
   * (`NAMESPACE.…`): the fence is put around each of them here.
   */
  namespace?: string
}

export type PolicyProblem = {
  file: string
  /** Its id, where it has one. */
  policy?: string
  /** From 1. */
  line?: number
  message: string
  remedy?: string
}

export type CompiledPolicy = {
  id: string
  effect: 'permit' | 'forbid'
  file: string
  line: number
  text: string
  json: PolicyJson
  /** On a forbid that humans may waive. */
  requirement?: ApprovalRequirement
}

export type CompiledSet = {
  /** SHA-256 (hex) of the policies, whatever files they are in and however they are laid out. */
  hash: string
  vocabulary: Vocabulary
  schema: string
  /** The name under which Cedar holds the schema. */
  schemaName: string
  /** Sorted by id. */
  policies: readonly CompiledPolicy[]
  needs: PolicyNeeds
  /** A request without what none of them looks at. */
  trim: (request: PolicyRequest) => PolicyRequest
  reads: Reads
  /** The names under which Cedar holds parts of it so far: a note of what is in Cedar's own memory. */
  slices: Set<string>
}

export type Compiled = { ok: true; set: CompiledSet } | { ok: false; problems: PolicyProblem[] }

/** @throws whatever Cedar's module throws where the bounds did not hold it */
export function compilePolicies(files: readonly PolicyFile[], vocabulary: Vocabulary): Compiled {
  // 1. Bounds, before anything is parsed.
  const cut = cutFiles(files)
  if (!cut.ok) return cut

  // 2. Each policy by itself, so that a problem has a place.
  const problems: PolicyProblem[] = []
  const policies = new Map<string, CompiledPolicy>()
  for (const place of cut.pieces) {
    const { file } = place
    const parsed = parsePolicy(place)
    if (!parsed.ok) {
      problems.push(parsed.problem)
      continue
    }
    const { policy } = parsed
    const twin = policies.get(policy.id)
    if (twin === undefined) policies.set(policy.id, policy)
    else
      problems.push({
        ...{ file, policy: policy.id, line: policy.line },
        message: `expected an @id of its own: ${twin.file}:${twin.line} has it`,
      })
  }

  // 3. All of them against the schema.
  const schema = cedarSchema(vocabulary)
  if (problems.length === 0) problems.push(...schemaProblems(policies, schema))
  if (problems.length > 0) return { ok: false, problems }
  const sorted = [...policies.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  const reads = readsOf(sorted.map(({ json }) => json.conditions))
  const schemaName = `schema ${sha256(schema)}`
  const held = cedar.preparseSchema(schemaName, schema)
  if (held.type === 'failure')
    return { ok: false, problems: [{ file: 'schema', message: said(held.errors) }] }
  return {
    ok: true,
    set: {
      hash: hashOf(sorted, cut.pieces),
      ...{ vocabulary, schema, schemaName, policies: sorted, reads },
      slices: new Set(),
      trim: trimmer(reads, vocabulary),
      needs: { held: heldIn(reads), digest: readsMember(reads, 'digest') },
    },
  }
}

/** All of them where something is looked at that cannot be told. */
function heldIn(reads: Reads): HeldName[] {
  const { context, held } = reads
  if (!readsMember(reads, 'held')) return []
  return HELD_NAMES.filter(name => context === null || held === null || held.includes(name))
}

type Place = { file: string; piece: Piece; namespace?: string }

function cutFiles(
  files: readonly PolicyFile[],
): { ok: true; pieces: Place[] } | { ok: false; problems: PolicyProblem[] } {
  const problems: PolicyProblem[] = []
  const pieces: Place[] = []
  if (files.reduce((sum, { text }) => sum + text.length, 0) > LIMITS.policySetChars) {
    const message = `expected at most ${LIMITS.policySetChars} characters in all files together`
    return { ok: false, problems: [{ file: files[0]!.name, message }] }
  }
  for (const { name: file, text, namespace } of files) {
    const scanned = scanPolicies(text)
    if (scanned.ok) pieces.push(...scanned.pieces.map(piece => placeOf(file, piece, namespace)))
    else problems.push({ file, line: scanned.line, message: scanned.message })
  }
  if (pieces.length > LIMITS.policies)
    problems.push({ file: files[0]!.name, message: `expected at most ${LIMITS.policies} policies` })
  return problems.length > 0 ? { ok: false, problems } : { ok: true, pieces }
}

function placeOf(file: string, piece: Piece, namespace: string | undefined): Place {
  if (namespace === undefined) return { file, piece }
  const fence = ` when { context.agent.name like ${quoted(`${namespace}.`).slice(0, -1)}*" };`
  const fenced = (text: string) => text.slice(0, -1) + fence
  return {
    file,
    namespace,
    piece: { ...piece, text: fenced(piece.text), canonical: fenced(piece.canonical) },
  }
}

function parsePolicy({
  file,
  piece,
  namespace,
}: Place): { ok: true; policy: CompiledPolicy } | { ok: false; problem: PolicyProblem } {
  const answer = cedar.policyToJson(piece.text)
  if (answer.type === 'failure') return { ok: false, problem: { file, ...placed(piece, answer.errors[0]) } }
  const { json } = answer
  const { context } = readsOf([json.conditions])
  const readsApproval = context === null || context.includes('approval')
  const { effect } = json
  const annotated = readAnnotations(json.annotations ?? {}, { effect, readsApproval })
  if (!annotated.ok) {
    const { id, message, remedy } = annotated
    return {
      ok: false,
      problem: {
        ...{ file, line: piece.line, message },
        ...(id === undefined ? {} : { policy: id }),
        ...(remedy === undefined ? {} : { remedy }),
      },
    }
  }
  const { id, requirement } = annotated
  const beyond = namespace === undefined ? undefined : beyondNamespace(namespace, id, effect)
  if (beyond !== undefined)
    return { ok: false, problem: { ...{ file, policy: id, line: piece.line }, ...beyond } }
  const loose = likeFindings(json).find(({ severity }) => severity === 'error')
  if (loose !== undefined) {
    const { message, remedy } = loose
    return { ok: false, problem: { file, line: piece.line, policy: id, message, remedy } }
  }
  const policy = { id, effect, file, line: piece.line, text: piece.text, json }
  return { ok: true, policy: requirement === undefined ? policy : { ...policy, requirement } }
}

/** Whoever may permit, may permit to others; whose ids may be any, may take those of others. */
function beyondNamespace(
  namespace: string,
  id: string,
  effect: 'permit' | 'forbid',
): Pick<PolicyProblem, 'message' | 'remedy'> | undefined {
  if (effect !== 'forbid')
    return { message: 'a team forbids to its own agents, and permits nothing', remedy: 'Ask the operator' }
  return id.startsWith(`${namespace}.`)
    ? undefined
    : { message: `expected an @id that begins with ${namespace}.` }
}

function schemaProblems(policies: ReadonlyMap<string, CompiledPolicy>, schema: string): PolicyProblem[] {
  const staticPolicies = Object.fromEntries([...policies].map(([id, { text }]) => [id, text]))
  const answer = cedar.validate({
    schema,
    policies: { staticPolicies },
    validationSettings: { mode: 'strict' },
  })
  if (answer.type === 'failure') return [{ file: 'schema', message: said(answer.errors) }]
  const { validationErrors, validationWarnings, otherWarnings } = answer
  const locate = ({ policyId, error }: ValidationError): PolicyProblem => {
    const policy = policies.get(policyId)
    if (policy === undefined) return { file: 'schema', message: error.message }
    return { file: policy.file, policy: policyId, ...placed(policy, error) }
  }
  // Cedar tells of one fault once for each action that it is a fault for, in any order.
  const inOrder = (problems: PolicyProblem[]) => problems.sort((a, b) => (a.message < b.message ? -1 : 1))
  const first = new Map<string, PolicyProblem>()
  for (const problem of [
    ...inOrder(validationErrors.map(locate)),
    ...inOrder(validationWarnings.map(locate)),
    ...otherWarnings.map(({ message }): PolicyProblem => ({ file: 'schema', message })),
  ]) {
    const key = problem.policy ?? problem.message
    if (!first.has(key)) first.set(key, problem)
  }
  return [...first.values()]
}

/** Cedar counts bytes from the start of the policy's own text. */
function placed(
  { text, line }: { text: string; line: number },
  error: DetailedError | undefined,
): Pick<PolicyProblem, 'line' | 'message' | 'remedy'> {
  const [place] = error?.sourceLocations ?? []
  const before = Buffer.from(text, 'utf8')
    .subarray(0, place?.start ?? 0)
    .toString('utf8')
  const remedy = error?.help ?? place?.label ?? undefined
  return {
    line: line + before.split('\n').length - 1,
    message: (error?.message ?? 'expected a policy').slice(0, LIMITS.detailChars),
    ...(remedy === undefined ? {} : { remedy: remedy.slice(0, LIMITS.detailChars) }),
  }
}

export function said(errors: readonly DetailedError[]): string {
  return errors
    .map(({ message }) => message)
    .join('; ')
    .slice(0, LIMITS.detailChars)
}

function hashOf(policies: readonly CompiledPolicy[], places: readonly Place[]): string {
  const canonical = new Map(places.map(({ piece }) => [piece.text, piece.canonical]))
  return sha256(policies.map(({ id, text }) => `${id}\n${canonical.get(text)}\n`).join(''))
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}
