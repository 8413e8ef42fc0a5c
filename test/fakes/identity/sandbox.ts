/** The operator of a sandbox: signs what it sees of the workloads in it, and serves its keys. */
import { createForger, type Forger } from './forger.ts'
import { type KeyServer, startKeyServer } from './key-server.ts'

export type Sandbox = {
  issuer: string
  server: KeyServer
  forger: Forger
  /** A statement of now; `undefined` takes a claim out. */
  state(claims: Record<string, unknown>, header?: Record<string, unknown>): string
  close(): Promise<void>
}

export async function startSandbox({
  now,
  audience,
}: {
  now: () => number
  audience: string
}): Promise<Sandbox> {
  const forger = createForger()
  const server = await startKeyServer(forger.jwks())
  return {
    ...{ issuer: server.issuer, server, forger },
    state(claims, header = {}) {
      const iat = Math.floor(now() / 1000)
      const payload = { iss: server.issuer, aud: audience, iat, exp: iat + 300, ...claims }
      return forger.token(payload, { typ: 'mayfly-statement+jwt', ...header })
    },
    close: () => server.close(),
  }
}
