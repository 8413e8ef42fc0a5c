/** Configured webhooks, with their secrets read from files. */
import { Secret } from '../issuers/shared/secret.ts'
import type { Webhook } from './broker/deliver.ts'
import type { ConfigFiles, Settings } from './config.ts'

/** 24 to 64 bytes in base64 behind `whsec_`, as Standard Webhooks asks. */
const secretShape = /^whsec_[A-Za-z0-9+/]{32,86}={0,2}$/

/** @throws Error where a secret cannot be read or is none: a webhook that nobody could verify is no webhook. */
export async function openWebhooks(
  { webhooks }: Pick<Settings, 'webhooks'>,
  files: Pick<ConfigFiles, 'readFile'>,
): Promise<Webhook[]> {
  const opened = Object.entries(webhooks).map(([name, { url, secret_file: path }]) => ({
    name,
    url,
    secret: () => readSecret(files, path),
  }))
  for (const webhook of opened) await webhook.secret()
  return opened
}

async function readSecret({ readFile }: Pick<ConfigFiles, 'readFile'>, path: string): Promise<Secret> {
  const text = (await readFile(path)).trim()
  if (secretShape.test(text)) return new Secret(text)
  throw new Error(
    `${path} does not hold a webhook secret: write whsec_ and the base64 of 32 random bytes, for example with\n` +
      `  printf 'whsec_%s' "$(openssl rand -base64 32)" > ${path}`,
  )
}
