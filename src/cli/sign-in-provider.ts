/** The identity provider as `openid-client` knows it, reached within the bounds of this command line. */
import {
  allowInsecureRequests,
  ClientSecretPost,
  type Configuration,
  type CustomFetch,
  customFetch,
  discovery,
  None,
} from 'openid-client'
import { readCapped } from '../client/read-capped.ts'
import { isLoopback } from '../config/listen.ts'
import { given } from './broker-url.ts'
import type { Provider, SignInTerminal } from './identity-provider.ts'
import { CLI_LIMITS } from './limits.ts'
import { readSecretFile } from './secret-file.ts'
import { CommandError, EXIT } from './terminal.ts'

/**
 * By discovery. Some providers give even native clients a secret, which keeps nothing secret (RFC 8252 section
 * 8.5): it is taken from the file in MAYFLY_OIDC_CLIENT_SECRET_FILE.
 *
 * @throws CommandError
 */
export async function openProvider(
  terminal: SignInTerminal,
  { issuer, client_id }: Provider,
): Promise<Configuration> {
  const url = issuerOf(issuer)
  const path = given(terminal.env.MAYFLY_OIDC_CLIENT_SECRET_FILE)
  const secret = path === undefined ? undefined : (await readSecretFile(terminal, path)).trim()
  return await discovery(url, client_id, {}, secret === undefined ? None() : ClientSecretPost(secret), {
    timeout: CLI_LIMITS.oidcRequestMs / 1_000,
    [customFetch]: boundedFetch(terminal),
    execute: url.protocol === 'http:' ? [allowInsecureRequests] : [],
  }).catch((cause: unknown) => {
    throw providerFailed(cause)
  })
}

/** What went wrong at the provider, without what it answered: an answer may hold a code or a token. */
export function providerFailed(cause: unknown): CommandError {
  if (cause instanceof CommandError) return cause
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const said = cause instanceof Error && 'error' in cause ? String(cause.error) : ''
  const shown = [said, code].find(word => /^[\w.-]{1,60}$/.test(word)) ?? 'no reason given'
  const isRefusal = said !== ''
  return new CommandError(`the identity provider did not sign you in (${shown})`, {
    exitCode: isRefusal ? EXIT.denied : EXIT.unavailable,
    cause,
  })
}

function issuerOf(text: string): URL {
  const url = URL.parse(text)
  const isUsable = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))
  if (url !== null && isUsable) return url
  throw new CommandError(
    "the broker names an identity provider that is not https: this is not the operators'",
  )
}

function boundedFetch({ fetch }: SignInTerminal): CustomFetch {
  return async (url, { method, headers, body, signal }) => {
    const response = await fetch(url, {
      ...{ method, headers, redirect: 'error' },
      ...(body == null ? {} : { body }),
      ...(signal === undefined ? {} : { signal }),
    })
    const text = await readCapped(response, CLI_LIMITS.oidcAnswerBytes)
    const bodiless = response.status === 204 || response.status === 304
    return new Response(bodiless ? null : text, { status: response.status, headers: response.headers })
  }
}
