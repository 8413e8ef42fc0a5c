/**
 * What octo-sts/action does, from the outside: its requests, its retries, what it writes for the runner, and its post
 * step. Its environment and the way out are arguments, so that its hosts may be on this machine.
 */
import { createHash } from 'node:crypto'
import { appendFile } from 'node:fs/promises'

export type ActionWorld = {
  env: Readonly<Record<string, string | undefined>>
  /** Answers for https hosts as their owners would. */
  fetch: typeof fetch
  wait: (ms: number) => Promise<void>
  print: (line: string) => void
}

/** @returns the exit code */
export async function runAction({ env, fetch, wait, print }: ActionWorld): Promise<number> {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = env
  const { INPUT_DOMAIN: domain, INPUT_SCOPE: scope, INPUT_IDENTITY: identity } = env
  if (!url || !bearer || !scope || !identity) return 1
  const retry = async (target: string, token: string, times: number): Promise<Response> => {
    for (let attempt = 1; attempt <= times; attempt++) {
      try {
        const response = await fetch(target, { headers: { Authorization: `Bearer ${token}` } })
        if (response.ok) return response
        throw new Error(`HTTP error! status: ${response.status} ${await response.text()}`)
      } catch (error) {
        print(`::warning::attempt ${attempt}: ${(error as Error).message}`)
        await wait(Math.min(2 ** attempt * 1_000, 10_000))
      }
    }
    throw new Error(`no success after ${times} attempts`)
  }
  try {
    const evidence = await retry(`${url}&audience=${domain}`, bearer, 5)
    const { value } = (await evidence.json()) as { value: string }
    // Nothing is encoded on the way into the query.
    const target = `https://${domain}/sts/exchange?scope=${scope}&scopes=${scope}&identity=${identity}`
    const { token } = (await (await retry(target, value, 3)).json()) as { token: string }
    print(`Token hash: ${createHash('sha256').update(token).digest('hex')}`)
    print(`::add-mask::${token}`)
    for (const file of [env.GITHUB_OUTPUT, env.GITHUB_STATE]) await appendFile(file!, `token=${token}\n`)
    return 0
  } catch (error) {
    print(`::error::${(error as Error).message}`)
    return 1
  }
}

/** The post step: it always goes to github.com, and its failure fails nothing. */
export async function runPost({ env, fetch, print }: Omit<ActionWorld, 'wait'>): Promise<number> {
  const token = env.STATE_token
  if (!token) return 0
  const response = await fetch('https://api.github.com/installation/token', {
    method: 'DELETE',
    headers: { Authorization: `Bearer ${token}` },
  })
  if (response.status !== 204) print(`::error::${response.status}`)
  return 0
}
