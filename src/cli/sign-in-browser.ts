/**
 * Authorization code with PKCE over a loopback redirect (RFC 8252 section 7.3, RFC 7636): the browser signs the
 * human in, and hands the code to a listener of this process. The code alone is worth nothing without the
 * verifier, which never leaves this process.
 */
import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client'
import type { Secret } from '../../issuers/shared/secret.ts'
import { given } from './broker-url.ts'
import { idTokenIn, type Provider, type SignInTerminal } from './identity-provider.ts'
import { CLI_LIMITS } from './limits.ts'
import { openLoopback } from './loopback.ts'
import { note } from './print.ts'
import { openProvider, providerFailed } from './sign-in-provider.ts'

export type SignInWish = {
  nonce: string
  /** How long ago the human may have proven who they are, in seconds; the provider's choice where absent. */
  maxAgeS?: number
  /** Gives the sign-in up. */
  signal?: AbortSignal
}

/** @param wish.isFresh they prove it now, whatever the browser remembers. @throws CommandError */
export async function browserSignIn(
  terminal: SignInTerminal,
  provider: Provider,
  { nonce, isFresh, maxAgeS, signal }: SignInWish & { isFresh: boolean },
): Promise<Secret> {
  const configuration = await openProvider(terminal, provider)
  const verifier = randomPKCECodeVerifier()
  const state = randomState()
  const loopback = await openLoopback(terminal, { ports: provider.redirect_ports, state })
  try {
    const url = buildAuthorizationUrl(configuration, {
      redirect_uri: loopback.redirectUri,
      scope: provider.scopes.join(' '),
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...{ state, nonce },
      ...(isFresh ? { prompt: 'login', max_age: '0' } : {}),
      ...(maxAgeS === undefined ? {} : { max_age: String(maxAgeS) }),
      ...(isFresh && provider.acr_values.length > 0 ? { acr_values: provider.acr_values.join(' ') } : {}),
    })
    show(terminal, url)
    const answer = await loopback.answer(CLI_LIMITS.signInMs, signal)
    const tokens = await authorizationCodeGrant(configuration, answer, {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
      // The proof is new; the human may take this long over the pages behind it. The broker judges by the same.
      ...(isFresh ? { maxAge: CLI_LIMITS.signInMs / 1_000 } : {}),
      ...(maxAgeS === undefined ? {} : { maxAge: maxAgeS + CLI_LIMITS.signInMs / 1_000 }),
    })
    return idTokenIn(tokens)
  } catch (error) {
    throw providerFailed(error)
  } finally {
    await loopback.close()
  }
}

/** The address holds no secret: state and challenge are worth nothing without this process. */
function show(terminal: SignInTerminal, url: URL): void {
  note(terminal, `sign in at:\n  ${url.href}`)
  const browser = given(terminal.env.BROWSER)
  if (browser === undefined || !terminal.hasTerminal) return
  const env = Object.fromEntries(
    Object.entries(terminal.env).filter((pair): pair is [string, string] => pair[1] !== undefined),
  )
  // Where it does not start, the address is on the screen.
  terminal.run(browser, [url.href], env)
}
