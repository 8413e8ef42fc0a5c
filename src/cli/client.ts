/** Calls to the broker's HTTP API, with what came of them for a person. How they are sent is `src/client`'s. */
import type { z } from 'zod'
import { MayflyError } from '../client/mayfly-error.ts'
import { type Call, causeCode, request } from '../client/transport.ts'
import { BrokerRefusal, brokerUnreachable } from './refusal.ts'
import { CommandError, EXIT, type Terminal } from './terminal.ts'

export type { Call } from '../client/transport.ts'

export type Client = {
  /** The broker's origin. */
  url: string
  /** @throws BrokerRefusal, CommandError (unavailable) */
  call<T>(call: Call, answer: z.ZodType<T>): Promise<T>
  /** The same with nothing said about it. @throws MayflyError */
  request(call: Call): Promise<unknown>
}

export function createClient(terminal: Pick<Terminal, 'fetch' | 'schedule'>, url: string): Client {
  return {
    url,
    async call(call, answer) {
      const told = await request(terminal, url, call).catch((error: unknown) => {
        throw forPerson(url, error)
      })
      return read(url, told, answer)
    },
    request: call => request(terminal, url, call),
  }
}

function read<T>(url: string, told: unknown, answer: z.ZodType<T>): T {
  const parsed = answer.safeParse(told)
  if (parsed.success) return parsed.data
  // Paths only: the values may be secrets.
  const where = parsed.error.issues.map(issue => issue.path.join('.') || 'the whole').slice(0, 5)
  throw new CommandError(
    `${url} answered, but not as this version of mayfly expects (${where.join(', ')}).\n` +
      '  Is it a Mayfly broker, and of the same version?',
    { exitCode: EXIT.failure },
  )
}

/** What the client says, for a person at a terminal; what is not of it is as it was. */
export function told(url: string, error: unknown): unknown {
  if (!(error instanceof MayflyError)) return error
  const { code, status, message } = error
  if (status === undefined && !['unreachable', 'answer_lost'].includes(code)) return new CommandError(message)
  return forPerson(url, error)
}

function forPerson(url: string, error: unknown): CommandError {
  if (error instanceof MayflyError && error.status !== undefined) return new BrokerRefusal(error)
  const cause = error instanceof MayflyError ? error.cause : error
  return brokerUnreachable(url, causeCode(cause), cause)
}
