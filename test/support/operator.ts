/** An operator token for a broker in this process; an earlier one ends. */
import { createOperatorToken } from '../../src/broker/people/create-operator-token.ts'
import type { RunningServer } from '../../src/server.ts'

export async function operatorTokenOf({ broker }: Pick<RunningServer, 'broker'>): Promise<string> {
  return (await createOperatorToken(broker, 'test')).token.reveal()
}
