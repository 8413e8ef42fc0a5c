import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import type { Env } from './guard.ts'

/**
 * `/v1/sign-in`: where humans sign in for processes on their own machines. Public, as the client at the identity
 * provider is. What a team registered is not among it: whom a command line sends to sign in somewhere must be able to
 * rely on the operators for it.
 */
export function signInRoutes({ attestors }: Pick<Broker, 'attestors'>): Hono<Env> {
  const routes = new Hono<Env>()
  routes.get('/', c => {
    const places = [...attestors].flatMap(([attestor, { signIn }]) => {
      if (signIn === undefined || attestor.includes('.')) return []
      const { issuer, clientId, scopes, redirectPorts, deviceFlow, maxAuthenticationAgeS } = signIn
      return {
        ...{ attestor, issuer, client_id: clientId, scopes, redirect_ports: redirectPorts },
        device_flow: deviceFlow,
        ...(maxAuthenticationAgeS === undefined ? {} : { max_age_seconds: maxAuthenticationAgeS }),
      }
    })
    return c.json({ sign_in: places })
  })
  return routes
}
