/** `mayfly apply`: registers what a plan shows, whole; a human signs in for exactly that. */
import { z } from 'zod'
import { operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { readOperatorToken } from './operator-token.ts'
import { changeShape, describePlan, makePlan, type PlanOptions } from './plan.ts'
import { printable, printJson } from './print.ts'
import { readSet } from './registry-set.ts'
import { freshBeside } from './sign-in.ts'
import { CommandError, type Terminal } from './terminal.ts'

const applyAnswer = z.union([
  z.looseObject({ generation: z.number(), changes: z.array(changeShape) }),
  /** It takes two humans, and this was the first. */
  z.looseObject({ pending: z.string() }),
])

export async function apply(
  terminal: Terminal,
  options: PlanOptions & { reason: string; plan?: string },
): Promise<void> {
  const set = await readSet(terminal, options)
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const plan = await makePlan(client, token, set)
  if (options.plan !== undefined && options.plan !== plan.digest)
    throw new CommandError(
      `what would be applied now is another plan (${plan.digest}): something was registered meanwhile, or the ` +
        'files are others.\n  Look at it with: mayfly plan',
    )
  // What is signed in for is seen in any case: beside JSON, where it is not in the way of a program.
  if (options.json === true) terminal.err(describePlan(plan))
  else terminal.out(describePlan(plan))
  if (plan.changes.length === 0) return options.json === true ? printJson(terminal, plan) : undefined
  const { generation, digest } = plan
  const fresh = await freshBeside(terminal, client, token, digest)
  const body = { ...set, plan: { generation, digest }, reason: options.reason, ...fresh }
  // A second time would be of another generation, and is refused.
  const call = { method: 'POST', path: '/v1/registry/apply', token, body, whenLost: 'never' } as const
  const answer = await client.call(call, applyAnswer)
  if (options.json === true) printJson(terminal, answer)
  else if (typeof answer.pending === 'string')
    terminal.out(`Proposed: another human agrees with: mayfly change approve ${printable(answer.pending)}\n`)
  else
    terminal.out(`Registered: generation ${String(answer.generation)}. Every broker has it within seconds.\n`)
}
