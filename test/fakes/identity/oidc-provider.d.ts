/** The part of oidc-provider that the stand-in uses; the package ships no types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

  export type JwtParts = { header: Record<string, unknown> | undefined; payload: Record<string, unknown> }
  export type TokenContext = { oidc: { body: Record<string, string | undefined> } }

  // biome-ignore lint/style/noDefaultExport: it is how the package exports its class.
  export default class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    callback(): RequestListener
    on(event: string, listener: (...details: unknown[]) => void): this
    use(middleware: (context: OidcContext, next: () => Promise<void>) => Promise<void>): this
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: { login: { accountId: string; ts: number; amr: string[] } } | { consent: { grantId: string } },
    ): Promise<void>
    Grant: new (about: {
      accountId: string
      clientId: string
    }) => {
      addOIDCScope(scope: string): void
      save(): Promise<string>
    }
  }

  export type OidcContext = {
    body: { id_token?: string; device_code?: string; interval?: number } | null | undefined
    oidc?: { entities?: { DeviceCode?: { params?: { nonce?: string } } } }
  }
  export type Interaction = {
    prompt: { name: string }
    params: Record<string, unknown>
    session?: { accountId?: string }
  }
}
