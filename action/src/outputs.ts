/** Where a credential is revealed: to the runner's masks first, then to the outputs that the step declares. */
import type { Ask, Credential, Task } from '../../src/client/index.ts'
import { tokenVariable } from '../../src/sidecar/variables.ts'
import type { WantedAsk } from './asks.ts'
import type { Wanted } from './inputs.ts'
import { type Job, StepError } from './job.ts'
import { textsOf } from './masks.ts'
import { withPatience } from './patience.ts'
import { plain, shown } from './plain.ts'

export type Minted = { kind: WantedAsk['kind']; ask: Ask; credential: Credential }

/** One for each ask; each is masked before the next is asked for. */
export async function mintAll(
  job: Job,
  task: Task,
  asks: readonly WantedAsk[],
  signal: AbortSignal,
): Promise<Minted[]> {
  const minted: Minted[] = []
  for (const { kind, ask } of asks) {
    const credential = await withPatience(job, signal, () => task.credential(ask, { signal }))
    const value = credential.reveal()
    for (const text of secretsOf(kind, value)) job.mask(text)
    if (typeof value !== 'string') job.mask(JSON.stringify(value))
    demandForm(kind, ask, value)
    minted.push({ kind, ask, credential })
    job.info(
      `  ${shown(ask.type)}: until ${credential.expiresAt.toISOString()}, ${shown(credential.revocability)}`,
    )
  }
  return minted
}

/** When an AWS session ends is no secret: masked, it would be taken out of `aws-expiration`, `expires-at` and the log. */
function secretsOf(kind: WantedAsk['kind'], value: unknown): string[] {
  if (kind !== 'aws' || typeof value !== 'object') return textsOf(value)
  return textsOf({ ...value, Expiration: undefined })
}

/** For a plain ask its issuer decides what the credential is made of. */
function demandForm(kind: WantedAsk['kind'], ask: Ask, value: unknown): void {
  const isText = typeof value === 'string'
  if (kind === 'other' || (kind === 'aws' ? AWS_PARTS.every(part => hasText(value, part)) : isText)) return
  throw new StepError(`the issuer ${JSON.stringify(ask.type)} mints credentials of another form than its ask`)
}

const AWS_PARTS = ['AccessKeyId', 'SecretAccessKey', 'SessionToken'] as const

/** For the steps that follow. */
export function setOutputs(
  job: Job,
  minted: readonly Minted[],
  { exported, region }: { exported: 'nothing' | 'aws' | 'everything'; region: string | undefined },
): void {
  const first = minted.map(({ credential }) => credential.expiresAt.getTime())
  job.output('expires-at', new Date(Math.min(...first)).toISOString())
  for (const one of minted)
    for (const [name, value] of outputsOf(one)) if (value !== '') job.output(name, value)
  const others = minted.filter(({ kind }) => kind === 'other')
  if (others.length > 0) {
    const all = JSON.stringify(
      Object.fromEntries(others.map(({ ask, credential }) => [ask.type, credential.reveal()])),
    )
    job.mask(all)
    job.output('credentials', all)
  }
  for (const [name, value] of Object.entries(environmentOf(minted, { region })))
    if (exported === 'everything' || (exported === 'aws' && name.startsWith('AWS_')))
      if (name !== 'GITHUB_TOKEN')
        // The runner keeps names of its own, GITHUB_*, for itself.
        job.exportVariable(name, value)
}

function outputsOf({ kind, credential }: Minted): [name: string, value: string][] {
  const value = credential.reveal()
  const detail = (name: string) => plain(String(credential.details[name] ?? ''))
  switch (kind) {
    case 'token':
      return [
        ['token', String(value)],
        ['installation-id', detail('installation_id')],
        ['app-slug', detail('app_slug')],
      ]
    case 'aws':
      return [
        ...AWS_PARTS.map((part): [string, string] => [AWS_OUTPUTS[part], textOf(value, part)]),
        ['aws-expiration', credential.expiresAt.toISOString()],
        ['aws-account-id', detail('account')],
      ]
    case 'jwt':
      return [['jwt', String(value)]]
    case 'other':
      return []
  }
}

const AWS_OUTPUTS = {
  AccessKeyId: 'aws-access-key-id',
  SecretAccessKey: 'aws-secret-access-key',
  SessionToken: 'aws-session-token',
} as const

/** By the names that the tools look for. */
export function environmentOf(
  minted: readonly Minted[],
  { region }: Pick<Wanted, 'region'>,
): Record<string, string> {
  return Object.assign({}, ...minted.map(one => variablesOf(one, region)))
}

function variablesOf({ kind, ask, credential }: Minted, region: string | undefined): Record<string, string> {
  const value = credential.reveal()
  switch (kind) {
    case 'token':
      return { GH_TOKEN: String(value), GITHUB_TOKEN: String(value) }
    case 'aws':
      return {
        AWS_ACCESS_KEY_ID: textOf(value, 'AccessKeyId'),
        AWS_SECRET_ACCESS_KEY: textOf(value, 'SecretAccessKey'),
        AWS_SESSION_TOKEN: textOf(value, 'SessionToken'),
        ...(region === undefined ? {} : { AWS_REGION: region, AWS_DEFAULT_REGION: region }),
      }
    case 'jwt':
    case 'other':
      return { [tokenVariable(ask.type)]: typeof value === 'string' ? value : JSON.stringify(value) }
  }
}

function hasText(value: unknown, part: string): boolean {
  return typeof (value as Record<string, unknown>)[part] === 'string'
}

function textOf(value: unknown, part: string): string {
  return String((value as Record<string, unknown>)[part])
}
