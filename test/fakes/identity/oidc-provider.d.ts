/** The part of oidc-provider that the stand-in uses; the package ships no types. */
declare module 'oidc-provider' {
  import type { RequestListener } from 'node:http'

  export type JwtParts = { header: Record<string, unknown> | undefined; payload: Record<string, unknown> }
  export type TokenContext = { oidc: { body: Record<string, string | undefined> } }

  // biome-ignore lint/style/noDefaultExport: it is how the package exports its class.
  export default class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    callback(): RequestListener
    on(event: string, listener: (...details: unknown[]) => void): this
  }
}
