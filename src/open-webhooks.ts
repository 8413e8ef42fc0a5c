/** Configured webhooks, with their secrets read from files. */
import { Secret } from '../issuers/shared/secret.ts'
import type { Webhook } from './broker/proof/deliver.ts'
import { ConfigError, fromDirectory, type Settings } from './config.ts'
import type { KekFiles } from './keys/kek.ts'
import { readSecretFile } from './keys/secret-file.ts'
import type { DeliveryRow } from './store/rows.ts'

/** Names of those that are told of such events. */
export function webhooksFor(event: DeliveryRow['event'], { webhooks }: Pick<Settings, 'webhooks'>): string[] {
  return Object.entries(webhooks).flatMap(([name, { format, events }]) =>
    (events ?? USUAL[format]).includes(event) ? [name] : [],
  )
}

const APPROVALS = ['approval.requested', 'approval.decided'] as const
/** People in a chat are asked; programs are told everything. */
const USUAL: Record<'standard' | 'slack', readonly DeliveryRow['event'][]> = {
  standard: ['task.ending', 'task.ended', ...APPROVALS],
  slack: APPROVALS,
}

/** 24 to 64 bytes in base64 behind `whsec_`, as Standard Webhooks asks. */
const secretShape = /^whsec_[A-Za-z0-9+/]{32,86}={0,2}$/

/** @throws ConfigError where a secret cannot be read or is none: nobody could verify what such a webhook is sent. */
export async function openWebhooks(
  { webhooks, directory }: Pick<Settings, 'webhooks' | 'directory'>,
  files: Pick<KekFiles, 'read'>,
): Promise<Webhook[]> {
  const opened = Object.entries(webhooks).map(([name, { url, secret_file: path, format }]) => ({
    ...{ name, url, format },
    secret: () => readSecret(files, path),
  }))
  for (const { name, secret } of opened) {
    try {
      await secret()
    } catch (error) {
      throw new ConfigError([
        {
          file: fromDirectory(directory, 'mayfly.yaml'),
          key: `webhooks.${name}.secret_file`,
          expected: error instanceof Error ? error.message : 'expected a file that can be read',
          remedy: 'Make one with: umask 077; printf \'whsec_%s\' "$(openssl rand -base64 32)" > FILE',
        },
      ])
    }
  }
  return opened
}

/** @throws Error, without a word of what was read */
async function readSecret(files: Pick<KekFiles, 'read'>, path: string): Promise<Secret> {
  const text = (await readSecretFile(files, path)).trim()
  if (secretShape.test(text)) return new Secret(text)
  throw new Error(`${path} does not hold a webhook secret, which is whsec_ and the base64 of 24 to 64 bytes`)
}
