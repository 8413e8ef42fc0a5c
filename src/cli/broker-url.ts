import { isLoopback } from '../config/settings.ts'
import { type Terminal, usageError } from './terminal.ts'

const DEFAULT_URL = 'http://127.0.0.1:8480'

export type BrokerOption = { broker?: string }

/** Where the broker is: `--broker`, MAYFLY_URL, or this machine. @throws CommandError (usage) */
export function brokerUrl({ env }: Pick<Terminal, 'env'>, { broker }: BrokerOption): string {
  return checked(broker ?? given(env.MAYFLY_URL) ?? DEFAULT_URL)
}

/** The operators' endpoints may have a listener of their own: MAYFLY_OPERATOR_URL comes before MAYFLY_URL. */
export function operatorUrl({ env }: Pick<Terminal, 'env'>, { broker }: BrokerOption): string {
  return checked(broker ?? given(env.MAYFLY_OPERATOR_URL) ?? given(env.MAYFLY_URL) ?? DEFAULT_URL)
}

/** Evidence and tokens go there, so plain http is for this machine only. */
export function checked(text: string): string {
  const url = URL.parse(text)
  const expected = 'Expected scheme, host and port, like https://mayfly.example.com'
  if (url === null || !/^https?:$/.test(url.protocol) || (text !== url.origin && text !== `${url.origin}/`))
    throw usageError(`the broker's address ${JSON.stringify(text.slice(0, 200))} is not usable. ${expected}`)
  if (url.protocol === 'http:' && !isLoopback(url.hostname))
    throw usageError(
      `the broker's address ${url.origin} is plain http: tokens would cross the network in the clear.\n` +
        '  Use https; http is for this machine only (127.0.0.1, localhost, [::1]).',
    )
  return url.origin
}

/** An empty variable is an absent one. */
export function given(value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}
