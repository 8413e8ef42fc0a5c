/**
 * `mayfly import octo-sts`: trust policies of octo-sts, linted, and as agents' files. It reads files, and writes some
 * where it is told to; it asks nobody and runs nothing.
 */
import { join } from 'node:path'
import { stringify } from 'yaml'
import { type Level, levelCovers } from '../../issuers/shared/github-permissions.ts'
import { lintPolicy, type PolicyFinding } from '../octo-sts/lint-policy.ts'
import { GITHUB_ISSUER } from '../octo-sts/probe-jobs.ts'
import { type AgentFile, type ImportSettings, toAgentFile } from '../octo-sts/to-agent-file.ts'
import { readTrustPolicy, type TrustPolicy } from '../octo-sts/trust-policy.ts'
import { findPolicyFiles, type PolicyFileAt } from './octo-sts-files.ts'
import { count, printable, printJson, table } from './print.ts'
import { CommandError, EXIT, errorCode, type Terminal, usageError } from './terminal.ts'

export type ImportOptions = {
  owner: string
  out?: string
  repository?: string
  organizationRepository: string
  attestor: readonly string[]
  issuer: string
  business: string
  technical: string
  expiresAt?: string
  repositoryId: readonly string[]
  strict?: boolean
  json?: boolean
}

type Finding = PolicyFinding & { file: string; line: number }
type Imported = { file: string; findings: Finding[]; agent?: AgentFile; policy?: TrustPolicy }

export async function importOctoSts(
  terminal: Terminal,
  paths: readonly string[],
  options: ImportOptions,
): Promise<void> {
  const settings = settingsOf(terminal, options)
  const { files } = await terminal.edge()
  const found = await findPolicyFiles(files, paths, options.repository)
  if (found.length === 0) throw new CommandError('no policy was found: expected files *.sts.yaml')
  const all: Imported[] = []
  for (const one of found) all.push(importOne(one, await files.readFile(one.path), { options, settings }))
  tellTwins(all)
  const findings = all.flatMap(one => one.findings)
  const agents = all.flatMap(({ agent, file }) => (agent === undefined ? [] : [{ agent, file }]))
  const ceiling = smallestCeiling(all)
  if (options.out !== undefined) for (const one of agents) await write(terminal, options.out, one)

  if (options.json)
    printJson(terminal, { policies: found.length, findings, ceiling, agents: agents.map(one => one.agent) })
  else print(terminal, { options, all, findings, agents: agents.length, ceiling })
  const isBad = findings.some(one => one.severity === 'error') || (options.strict && findings.length > 0)
  if (isBad) terminal.exitWith(EXIT.failure)
}

function settingsOf(terminal: Terminal, options: ImportOptions): ImportSettings {
  const { business, technical, issuer, expiresAt } = options
  const days = 90
  return {
    attestors: new Map([[GITHUB_ISSUER, 'actions'], ...options.attestor.map(pairOf)]),
    issuer,
    owner: { business, technical },
    expiresAt:
      expiresAt ?? new Date(terminal.now() + days * 86_400_000).toISOString().replace(/\.\d+Z$/, 'Z'),
    repositoryIds: new Map(
      options.repositoryId.map(pairOf).map(([name, id]) => {
        if (!/^[1-9]\d{0,15}$/.test(id) || !name.includes('/'))
          throw usageError('--repository-id: expected OWNER/REPOSITORY=ID')
        return [name.toLowerCase(), id]
      }),
    ),
  }
}

/** At the last `=`: an issuer may have one in it. */
function pairOf(text: string): [string, string] {
  const at = text.lastIndexOf('=')
  if (at < 1 || at === text.length - 1) throw usageError(`expected NAME=VALUE instead of ${printable(text)}`)
  return [text.slice(0, at), text.slice(at + 1)]
}

function importOne(
  { path, repository, identity }: PolicyFileAt,
  content: string,
  { options, settings }: { options: ImportOptions; settings: ImportSettings },
): Imported {
  const isOrganization = repository === options.organizationRepository
  const read = readTrustPolicy(path, content, isOrganization)
  if (!read.ok)
    return {
      file: path,
      findings: read.problems.map(({ line = 1, key, expected, remedy = 'Correct it' }) => {
        const about = { rule: 'invalid', severity: 'error' } as const
        return { ...about, file: path, line, key, message: expected, remedy }
      }),
    }
  const place = { owner: options.owner, repository: isOrganization ? undefined : repository, identity }
  const findings: PolicyFinding[] = lintPolicy(read.policy, place)
  const made = toAgentFile(read.policy, place, settings)
  if (!made.ok) {
    const { key, why: message, remedy } = made
    findings.push({ rule: 'not-imported', severity: 'error', key, message, remedy })
  }
  const at = (key: string) => read.file.problem(key.split('.'), '').line ?? 1
  return {
    file: path,
    policy: read.policy,
    findings: findings.map(one => ({ ...one, file: path, line: at(one.key) })),
    ...(made.ok ? { agent: made.agent } : {}),
  }
}

/** Two policies that would be one agent: neither is. */
function tellTwins(all: Imported[]): void {
  const byName = Map.groupBy(
    all.filter(one => one.agent !== undefined),
    one => one.agent!.name,
  )
  for (const [name, twins] of byName) {
    if (twins.length === 1) continue
    for (const twin of twins) {
      delete twin.agent
      const about = { rule: 'not-imported', severity: 'error', key: '' } as const
      const remedy = 'Rename one of the files, or import them one by one'
      twin.findings.push({
        ...about,
        file: twin.file,
        line: 1,
        message: `another one would be called ${name}, too`,
        remedy,
      })
    }
  }
}

/** The least that `octo_sts.owners.<owner>.ceiling.permissions` must be so that none of them is narrowed. */
function smallestCeiling(all: readonly Imported[]): Record<string, Level> {
  const most: Record<string, Level> = {}
  for (const { policy } of all)
    for (const [name, level] of Object.entries(policy?.permissions ?? {}))
      if (!levelCovers(most[name], level)) most[name] = level
  return Object.fromEntries(Object.entries(most).sort(([a], [b]) => (a < b ? -1 : 1)))
}

async function write(
  terminal: Terminal,
  folder: string,
  { agent, file }: { agent: AgentFile; file: string },
): Promise<void> {
  const path = join(folder, `${agent.name}.yaml`)
  try {
    const created = await terminal.createSecretFile(path)
    await created.commit(
      `# From ${printable(file)}, by mayfly import octo-sts. Read it before it counts.\n${stringify(agent)}`,
    )
  } catch (error) {
    const said =
      errorCode(error) === 'EEXIST' ? 'there is such a file already: move it away first' : errorCode(error)
    throw new CommandError(`${path}: ${said}`, { cause: error })
  }
}

function print(
  terminal: Terminal,
  {
    options,
    all,
    findings,
    agents,
    ceiling,
  }: { options: ImportOptions; all: Imported[]; findings: Finding[]; agents: number; ceiling: object },
): void {
  const rows = all.map(({ file, agent, findings: own }) => {
    const errors = own.filter(one => one.severity === 'error').length
    return [file, agent?.name ?? '-', String(errors), String(own.length - errors)]
  })
  terminal.out(table(['POLICY', 'AGENT', 'ERRORS', 'WARNINGS'], rows))
  for (const { file, line, severity, rule, key, message, remedy } of findings)
    terminal.out(
      `${file}:${line}: ${severity}: ${rule}: ${printable(key === '' ? message : `${key}: ${message}`)}\n  ${printable(remedy)}\n`,
    )
  terminal.out(`\nThe smallest ceiling for ${options.owner} that narrows none of them:\n`)
  terminal.out(
    stringify({ octo_sts: { owners: { [options.owner]: { ceiling: { permissions: ceiling } } } } }),
  )
  const done = options.out === undefined ? 'would become' : `written to ${options.out}:`
  terminal.out(
    `\n${count(all.length, 'policy').replace('policys', 'policies')}; ${done} ${count(agents, 'agent')}\n`,
  )
}
