/**
 * The device flow (RFC 8628), for a machine without a browser. That its ID token carries the nonce of the request is in
 * no standard, and for some providers only: what must be bound to something is refused otherwise.
 */
import { initiateDeviceAuthorization, pollDeviceAuthorizationGrant } from 'openid-client'
import type { Secret } from '../../issuers/shared/secret.ts'
import { idTokenIn, type Provider, type SignInTerminal } from './identity-provider.ts'
import { CLI_LIMITS } from './limits.ts'
import { GIVEN_UP } from './loopback.ts'
import { note, printable } from './print.ts'
import type { SignInWish } from './sign-in-browser.ts'
import { openProvider, providerFailed } from './sign-in-provider.ts'
import { CommandError } from './terminal.ts'

/** @throws CommandError */
export async function deviceSignIn(
  terminal: SignInTerminal,
  provider: Provider,
  { nonce, maxAgeS, signal }: Partial<SignInWish> = {},
): Promise<Secret> {
  const configuration = await openProvider(terminal, provider)
  try {
    const device = await initiateDeviceAuthorization(configuration, {
      scope: provider.scopes.join(' '),
      ...(nonce === undefined ? {} : { nonce }),
      ...(maxAgeS === undefined ? {} : { max_age: String(maxAgeS) }),
    })
    note(
      terminal,
      `sign in at:\n  ${printable(device.verification_uri)}\nwith the code:\n  ${printable(device.user_code)}`,
    )
    const late = AbortSignal.timeout(CLI_LIMITS.deviceSignInMs)
    const until = signal === undefined ? late : AbortSignal.any([late, signal])
    return idTokenIn(await pollDeviceAuthorizationGrant(configuration, device, undefined, { signal: until }))
  } catch (error) {
    if (signal?.aborted === true) throw new CommandError(GIVEN_UP, { cause: error })
    throw providerFailed(error)
  }
}
