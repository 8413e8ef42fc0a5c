/** The device flow (RFC 8628), for a machine without a browser. Its ID token carries no nonce: for sessions only. */
import { initiateDeviceAuthorization, pollDeviceAuthorizationGrant } from 'openid-client'
import type { Secret } from '../../issuers/shared/secret.ts'
import { idTokenIn, type Provider, type SignInTerminal } from './identity-provider.ts'
import { CLI_LIMITS } from './limits.ts'
import { note, printable } from './print.ts'
import { openProvider, providerFailed } from './sign-in-provider.ts'

/** @throws CommandError */
export async function deviceSignIn(terminal: SignInTerminal, provider: Provider): Promise<Secret> {
  const configuration = await openProvider(terminal, provider)
  try {
    const device = await initiateDeviceAuthorization(configuration, { scope: provider.scopes.join(' ') })
    note(
      terminal,
      `sign in at:\n  ${printable(device.verification_uri)}\nwith the code:\n  ${printable(device.user_code)}`,
    )
    const signal = AbortSignal.timeout(CLI_LIMITS.deviceSignInMs)
    return idTokenIn(await pollDeviceAuthorizationGrant(configuration, device, undefined, { signal }))
  } catch (error) {
    throw providerFailed(error)
  }
}
