/** `mayfly review --propose`: each agent's whole document with the narrower ceiling, where `plan` or a file takes it. */
import { join } from 'node:path'
import { stringify } from 'yaml'
import { z } from 'zod'
import type { Secret } from '../../issuers/shared/secret.ts'
import type { Client } from './client.ts'
import { printable } from './print.ts'
import { CommandError, errorCode, type Terminal } from './terminal.ts'

export type Proposal = { agent: string; managed_by: string; file: string }

type Reviewed = { agent: string; proposed_ceiling: Readonly<Record<string, readonly unknown[]>> | null }

const resourceAnswer = z.looseObject({
  managed_by: z.string(),
  document: z.looseObject({ name: z.string(), may_outlive_minutes: z.record(z.string(), z.number()) }),
})
type Document = z.infer<typeof resourceAnswer>['document']

/**
 * Those managed by the API go into `folder`, as `plan -f` takes it; those managed by files below it, into
 * `agents/`, which it leaves alone. @throws CommandError where a file is there already
 */
export async function writeProposals(
  terminal: Terminal,
  client: Client,
  token: Secret,
  folder: string,
  reviewed: readonly Reviewed[],
): Promise<Proposal[]> {
  const proposals: Proposal[] = []
  for (const { agent, proposed_ceiling: ceiling } of reviewed) {
    // A ceiling of nothing is none that an agent may have.
    if (ceiling === null || Object.keys(ceiling).length === 0) continue
    const path = `/v1/registry/agent/${encodeURIComponent(agent)}`
    const call = { method: 'GET', path, token, whenLost: 'repeat' } as const
    const { managed_by, document } = await client.call(call, resourceAnswer)
    // It becomes the name of a file.
    if (document.name !== agent || !/^[a-z][a-z0-9.-]*$/.test(agent))
      throw new CommandError(`the broker shows another agent than ${printable(agent)}`)
    const narrowed = narrow(document, ceiling)
    const byFile = managed_by === 'file'
    const file = join(folder, ...(byFile ? ['agents'] : []), `${agent}.yaml`)
    const text = byFile
      ? `# In place of the file of ${agent} in agents_dir of the broker.\n${stringify(narrowed)}`
      : stringify({ kind: 'agent', ...narrowed })
    await write(terminal, file, text)
    proposals.push({ agent, managed_by, file })
  }
  return proposals
}

export function describeProposal({ agent, managed_by, file }: Proposal): string {
  const how =
    managed_by === 'file'
      ? 'goes in place of its file in agents_dir (comments of that are not in it)'
      : `see what it narrows with: mayfly plan -f ${file}`
  return printable(`Proposed for ${agent}: ${file}; ${how}`)
}

/** No agent may outlive by an issuer that its ceiling does not name. */
function narrow({ name, ...rest }: Document, ceiling: NonNullable<Reviewed['proposed_ceiling']>) {
  const may_outlive_minutes = Object.fromEntries(
    Object.entries(rest.may_outlive_minutes).filter(([issuer]) => Object.hasOwn(ceiling, issuer)),
  )
  return { name, ...rest, ceiling, may_outlive_minutes }
}

async function write(terminal: Terminal, path: string, text: string): Promise<void> {
  try {
    const file = await terminal.createSecretFile(path)
    await file.commit(text)
  } catch (cause) {
    throw new CommandError(`${path} cannot be written (${errorCode(cause)})`, { cause })
  }
}
