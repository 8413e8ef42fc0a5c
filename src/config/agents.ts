/** `agents/*.yaml`: each file against its shape, then against the instances and agents it speaks of. */
import type { z } from 'zod'
import type { Issuer } from '../../issuers/issuer.ts'
import { canonicalDigest } from '../canonical.ts'
import { type Agent, type AgentDocument, SYSTEM_AGENT } from '../policy/agent.ts'
import { type AgentShape, agentShape } from './agent-shape.ts'
import { type Parsed, parseShape } from './parse-shape.ts'
import { oneOf, type Problem } from './problem.ts'
import { type Folder, type NamedFile, nameProblems } from './read-files.ts'
import { ruleProblems } from './rule-problems.ts'
import type { Settings } from './settings.ts'
import type { YamlFile } from './yaml-file.ts'

/** The part of an opened issuer that ceilings are parsed with, by configured name. */
export type AskSchemas = ReadonlyMap<string, Pick<Issuer, 'ask'> & Partial<Pick<Issuer, 'facts'>>>

type ParsedFile = { file: YamlFile; shape: AgentShape }

/** What agents are held against: everything that they may name. */
export type AgentSurroundings = {
  settings: Pick<Settings, 'attestors' | 'limits' | 'observers'>
  issuers: AskSchemas
  shape: z.ZodType<AgentShape>
  /** Agents beside these that may be delegated to. */
  others?: ReadonlySet<string>
}

/** All of them or none: agents name each other, and half a registry would allow what the whole refuses. */
export function parseAgents(folder: Folder, settings: Settings, issuers: AskSchemas): Parsed<Agent[]> {
  const agents = parseAgentFiles(folder.files, { settings, issuers, shape: agentShape })
  if (agents.ok && folder.problems.length === 0) return agents
  return { ok: false, problems: [...folder.problems, ...(agents.ok ? [] : agents.problems)] }
}

export function parseAgentFiles(
  files: readonly NamedFile[],
  { settings, issuers, shape: expected, others }: AgentSurroundings,
): Parsed<Agent[]> {
  const problems: Problem[] = []
  const parsed: ParsedFile[] = []
  for (const named of files) {
    problems.push(...nameProblems(named), ...reservedName(named))
    const result = parseShape(named.file, expected, named.file.value)
    if (result.ok) parsed.push({ file: named.file, shape: result.value })
    else problems.push(...result.problems)
  }
  const names = new Set([...files.map(({ name }) => name), ...(others ?? [])])
  const agents: Agent[] = []
  for (const { file, shape } of parsed) {
    const ceiling = parseCeiling(file, shape, issuers)
    problems.push(
      ...ruleProblems(file, shape, settings.attestors),
      ...(ceiling.ok ? [] : ceiling.problems),
      ...limitProblems(file, shape, settings),
      ...delegationProblems(file, shape, names),
      ...verificationProblems(file, shape, settings),
      ...postureProblems(file, shape, settings),
    )
    if (ceiling.ok) agents.push(toAgent(shape, ceiling.value))
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: agents }
}

/** What the broker does for itself stands in the ledger under this name, and counters go by name. */
function reservedName({ name, file }: NamedFile): Problem[] {
  if (name !== SYSTEM_AGENT) return []
  return [file.problem(['name'], `expected another name: ${SYSTEM_AGENT} is the broker itself`, 'Rename it')]
}

function parseCeiling(
  file: YamlFile,
  shape: AgentShape,
  issuers: AskSchemas,
): Parsed<Record<string, unknown[]>> {
  const problems: Problem[] = []
  const ceiling: Record<string, unknown[]> = {}
  for (const [name, asks] of Object.entries(shape.ceiling)) {
    const issuer = issuers.get(name)
    if (issuer === undefined) {
      problems.push(file.problem(['ceiling', name], oneOf('issuers', [...issuers.keys()])))
      continue
    }
    ceiling[name] = []
    for (const [index, ask] of asks.entries()) {
      const parsed = parseShape(file, issuer.ask, ask, ['ceiling', name, index])
      if (parsed.ok) ceiling[name].push(parsed.value)
      else problems.push(...parsed.problems)
    }
  }
  for (const name of Object.keys(shape.may_outlive_minutes)) {
    if (Object.hasOwn(shape.ceiling, name)) continue
    problems.push(
      file.problem(['may_outlive_minutes', name], oneOf('ceiling’s issuers', Object.keys(shape.ceiling))),
    )
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: ceiling }
}

function limitProblems(
  file: YamlFile,
  { limits }: AgentShape,
  settings: Pick<Settings, 'limits'>,
): Problem[] {
  const most = settings.limits.task_minutes
  if (limits.task_minutes <= most) return []
  return [
    file.problem(['limits', 'task_minutes'], `expected at most limits.task_minutes of the broker (${most})`),
  ]
}

function delegationProblems(file: YamlFile, shape: AgentShape, names: ReadonlySet<string>): Problem[] {
  const problems = shape.may_delegate_to.flatMap((name, index) =>
    names.has(name) ? [] : [file.problem(['may_delegate_to', index], oneOf('agents', [...names]))],
  )
  if (shape.may_delegate_to.length > 0) {
    for (const key of ['child_depth', 'children'] as const) {
      if (shape.limits[key] !== 0) continue
      const expected = 'expected at least 1 where may_delegate_to names agents'
      problems.push(file.problem(['limits', key], expected))
    }
  }
  return problems
}

function verificationProblems(
  file: YamlFile,
  shape: AgentShape,
  { observers }: Pick<Settings, 'observers'>,
): Problem[] {
  if (shape.verify_job_running !== true || observers.verify_job_running !== undefined) return []
  const expected = 'expected observers.verify_job_running in mayfly.yaml, which names the issuer to ask with'
  return [file.problem(['verify_job_running'], expected)]
}

/** A statement that is to come with each heartbeat needs heartbeats, and somebody who checks it. */
function postureProblems(
  file: YamlFile,
  { posture_with_heartbeat: names = [], heartbeat_seconds: heartbeat }: AgentShape,
  { attestors }: Pick<Settings, 'attestors'>,
): Problem[] {
  const problems = names.flatMap((name, index) =>
    attestors[name]?.posture === true
      ? []
      : [
          file.problem(
            ['posture_with_heartbeat', index],
            oneOf(
              'attestors of surroundings',
              Object.keys(attestors).filter(one => attestors[one]?.posture === true),
            ),
          ),
        ],
  )
  if (names.length > 0 && heartbeat === undefined)
    problems.push(file.problem(['posture_with_heartbeat'], 'expected heartbeat_seconds beside it'))
  return problems
}

function toAgent(shape: AgentShape, ceiling: Record<string, unknown[]>): Agent {
  const { build, heartbeat_seconds: heartbeat, verify_job_running: verify, attest, limits, ...other } = shape
  const { check_in_minutes: checkIn, may_act_for: actsFor, bound_key_required: bound, ...others } = other
  const { posture_with_heartbeat: posture, ...rest } = others
  const delegates = shape.may_delegate_to.length > 0
  const document: AgentDocument = {
    ...rest,
    attest: attest.map(({ attestor, claims, subject }) => ({
      ...{ attestor, claims },
      ...(subject === undefined ? {} : { subject }),
    })),
    ceiling,
    limits: {
      ...limits,
      child_depth: limits.child_depth ?? (delegates ? 1 : 0),
      children: limits.children ?? (delegates ? 8 : 0),
    },
    ...(heartbeat === undefined ? {} : { heartbeat_seconds: heartbeat }),
    ...(verify === undefined ? {} : { verify_job_running: verify }),
    ...(build === undefined ? {} : { build }),
    ...(bound === undefined ? {} : { bound_key_required: bound }),
    ...(posture === undefined ? {} : { posture_with_heartbeat: posture }),
    ...(checkIn === undefined ? {} : { check_in_minutes: checkIn }),
    ...(actsFor === undefined ? {} : { may_act_for: actsFor }),
  }
  return { ...document, digest: canonicalDigest(document) }
}
