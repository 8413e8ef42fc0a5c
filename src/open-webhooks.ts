/** Configured webhooks, with their secrets read from files. */
import { Secret } from '../issuers/shared/secret.ts'
import type { Webhook } from './broker/deliver.ts'
import { ConfigError, type ConfigFiles, fromDirectory, type Settings } from './config.ts'

/** 24 to 64 bytes in base64 behind `whsec_`, as Standard Webhooks asks. */
const secretShape = /^whsec_[A-Za-z0-9+/]{32,86}={0,2}$/

/** @throws ConfigError where a secret cannot be read or is none: nobody could verify what such a webhook is sent. */
export async function openWebhooks(
  { webhooks, directory }: Pick<Settings, 'webhooks' | 'directory'>,
  files: Pick<ConfigFiles, 'readFile'>,
): Promise<Webhook[]> {
  const opened = Object.entries(webhooks).map(([name, { url, secret_file: path }]) => ({
    name,
    url,
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
          remedy: 'Make one with: printf \'whsec_%s\' "$(openssl rand -base64 32)" > FILE',
        },
      ])
    }
  }
  return opened
}

/** @throws Error, without a word of what was read */
async function readSecret({ readFile }: Pick<ConfigFiles, 'readFile'>, path: string): Promise<Secret> {
  const text = await readFile(path).catch(() => undefined)
  if (text === undefined) throw new Error(`${path} cannot be read`)
  if (secretShape.test(text.trim())) return new Secret(text.trim())
  throw new Error(`${path} does not hold a webhook secret, which is whsec_ and the base64 of 24 to 64 bytes`)
}
