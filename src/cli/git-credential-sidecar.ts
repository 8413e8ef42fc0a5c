/** Tokens for git from the local credential server, which holds and refreshes them: `mayfly exec`, `mayfly agent`. */
import { Secret } from '../../issuers/shared/secret.ts'
import { connectSidecar, type SidecarAddress, SidecarError } from '../sidecar/call.ts'
import type { CredentialSource } from './git-credential-source.ts'

/** Its methods throw SidecarError as the port says. */
export function sidecarSource(address: SidecarAddress): CredentialSource {
  const sidecar = connectSidecar(address)
  return {
    async get({ protocol, host, path }) {
      const git = { protocol, host, ...(path === undefined || path === '' ? {} : { path }) }
      try {
        const { secret, expires_at, provider_expires_at } = await sidecar.credential({ git })
        if (typeof secret !== 'string')
          return { kind: 'refused', message: 'the credential for this repository is not a token' }
        const expiresAt = Math.min(Date.parse(expires_at), Date.parse(provider_expires_at))
        return { kind: 'credential', token: new Secret(secret), expiresAt }
      } catch (error) {
        if (!(error instanceof SidecarError) || error.problem === undefined) throw error
        if (error.code === 'git_foreign') return { kind: 'foreign' }
        return { kind: 'refused', message: tell(error) }
      }
    },
    /** A server that does not hold this very secret drops nothing, so that every handle may be asked. */
    async rejected(_target, sha256) {
      for (const { asks } of await sidecar.tasks())
        for (const { handle, kind, state } of asks)
          if (kind === 'github' && state === 'granted') if (await sidecar.rejected({ handle, sha256 })) return
    },
  }
}

function tell({ message, problem }: SidecarError): string {
  const { decision, approvals = [] } = problem ?? {}
  const named = [...(decision === undefined ? [] : [`decision ${decision}`]), ...approvals]
  return named.length === 0
    ? message
    : `${message}. Quote ${named.join(', ')} to whoever answers for the agent`
}
