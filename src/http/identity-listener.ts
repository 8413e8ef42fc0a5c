import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { correlate } from './correlate.ts'
import { type Env, guardHeaders } from './guard.ts'
import { type ListenerSurroundings, openListener } from './listeners.ts'
import { renderError } from './problem.ts'
import { webIdentityRoutes } from './web-identity.ts'
import type { PublishedKeys } from './well-known.ts'

/**
 * What AWS fetches of Mayfly, where workloads find the broker: for as long as an offline command runs. It is all
 * public. Whoever asks for anything else is told of an outage: "not found" would say to a client that its task is over.
 *
 * @throws CannotListen where something listens there, a broker among others; Error where a certificate is no good
 */
export async function publishIdentity(
  broker: Broker,
  given: ListenerSurroundings & Pick<PublishedKeys, 'webIdentityKeys'>,
): Promise<{ close(): Promise<void> }> {
  const { settings, webIdentityKeys } = given
  const routes = new Hono<Env>()
  routes.use('*', correlate(broker), guardHeaders(broker.limits))
  routes.onError((error, c) => renderError(c, error, broker))
  routes.notFound(c =>
    renderError(
      c,
      new BrokerError(
        'ledger_unavailable',
        'no broker runs here: for a moment a command of an operator answers in its place. Nothing was done; send it again later',
      ),
      broker,
    ),
  )
  routes.route('/aws/.well-known', webIdentityRoutes(broker, settings.public_url, webIdentityKeys))
  const listener = await openListener(broker, given, { key: 'listen', at: settings.listen, routes })
  await listener.begun()
  return listener
}
