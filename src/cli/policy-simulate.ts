/** `mayfly policy simulate`: what this token, or this task, would get for these asks. Nothing is opened. */
import { z } from 'zod'
import { type Declared, declared } from '../client/task-calls.ts'
import { readAsks } from './ask.ts'
import { type BrokerOption, brokerUrl, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type EvidenceOption, findEvidence } from './evidence.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { type PostureOption, readPosture } from './posture.ts'
import { printable, printJson } from './print.ts'
import { readSecretFile } from './secret-file.ts'
import { EXIT, type Terminal, usageError } from './terminal.ts'

const texts = z.array(z.string())
const answer = z.looseObject({
  outcome: z.enum(['allow', 'deny', 'needs_approval']),
  stage: z.enum(['attest', 'match', 'decide']),
  reasons: texts,
  agent: z.string().nullable(),
  evidence_used: z.boolean().nullable(),
  asks: z.array(
    z.looseObject({
      outcome: z.string(),
      requires: z.array(z.looseObject({ policy: z.string(), quorum: z.number(), groups: texts })),
    }),
  ),
  unresolved: z.array(z.number()),
  not_simulated: texts,
})

type Options = BrokerOption &
  OperatorTokenOption &
  EvidenceOption &
  PostureOption &
  Declared & {
    ask?: string[]
    askJson?: string[]
    task?: string
    agent?: string
    purpose?: string
    minutes?: number
    ticketFile?: string
    json?: boolean
  }

/** Ends with the exit code of a denial where that is what would come of it. */
export async function policySimulate(terminal: Terminal, options: Options): Promise<void> {
  const asks = readAsks(options)
  if (asks.length === 0) throw usageError('say what would be asked for: --ask')
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const { task, agent, purpose, minutes, ticketFile } = options
  const who =
    task === undefined
      ? {
          evidence: {
            type: 'jwt',
            token: (await findEvidence(terminal, brokerUrl(terminal, options), options)).reveal(),
          },
        }
      : { task }
  const posture = await readPosture(terminal, options)
  const body = {
    ...(posture.length === 0 ? {} : { posture }),
    ...{ ...who, authorization_details: asks, ...declared(options) },
    ...(agent === undefined ? {} : { agent }),
    ...(purpose === undefined ? {} : { purpose }),
    ...(minutes === undefined ? {} : { minutes }),
    ...(ticketFile === undefined ? {} : { ticket: (await readSecretFile(terminal, ticketFile)).trim() }),
  }
  const shown = await client.call(
    { method: 'POST', path: '/v1/policies/simulate', token, body, whenLost: 'repeat' },
    answer,
  )
  if (options.json) printJson(terminal, shown)
  else
    terminal.out(
      describe(shown)
        .map(line => `${printable(line)}\n`)
        .join(''),
    )
  if (shown.outcome === 'deny') terminal.exitWith(EXIT.denied)
}

const OUTCOMES = {
  allow: 'would be allowed',
  deny: 'would be denied',
  needs_approval: 'would wait for humans',
}
const STAGES = { attest: ' (its evidence is not accepted)', match: ' (it is no agent)', decide: '' }

function describe(shown: z.infer<typeof answer>): string[] {
  return [
    `${OUTCOMES[shown.outcome]}${STAGES[shown.stage]}${shown.agent === null ? '' : `, as ${shown.agent}`}`,
    ...shown.reasons.map(reason => `  because  ${reason}`),
    ...shown.asks.flatMap(({ outcome, requires }, index) => [
      `  ask ${index + 1}    ${outcome}`,
      ...requires.map(
        ({ policy, quorum, groups }) =>
          `    needs  ${quorum} of ${groups.join(', ') || 'any'}, says ${policy}`,
      ),
    ]),
    ...shown.unresolved.map(
      index => `  note     ask ${index + 1} was judged by its names: nobody was asked for their ids`,
    ),
    ...(shown.evidence_used === true
      ? ['  note     this evidence was used already: it opens no other task']
      : []),
    `  not looked at: ${shown.not_simulated.join(', ')}`,
  ]
}
