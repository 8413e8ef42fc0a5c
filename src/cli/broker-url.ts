import { brokerOrigin } from '../client/broker-origin.ts'
import { MayflyError } from '../client/mayfly-error.ts'
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

/** @throws CommandError (usage) */
export function checked(text: string): string {
  try {
    return brokerOrigin(text)
  } catch (error) {
    throw error instanceof MayflyError ? usageError(error.message) : error
  }
}

/** An empty variable is an absent one. */
export function given(value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}
