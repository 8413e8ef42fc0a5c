/** What a check of evidence says, for a person. No part of the evidence's own text is ever in it. */
import { z } from 'zod'
import { printable, shortTime } from './print.ts'

const text = z.string()
const value = z.union([text, z.number(), z.boolean(), z.array(text)])
const check = z.looseObject({
  name: text,
  passed: z.boolean(),
  rejection: text.optional(),
  detail: text.optional(),
  expected: text.optional(),
  found: text.optional(),
})
const claim = z.looseObject({
  name: text,
  value,
  type: text.nullable(),
  decided_by: z.enum(['authority', 'caller', 'not_known']),
  counts_with: text.nullable(),
})
const rule = z.looseObject({
  rule: z.number(),
  outcome: z.enum(['matches', 'misses', 'unnamed']),
  claim: text.optional(),
  expected: z.array(z.union([text, z.number(), z.boolean()])).optional(),
  found: text.optional(),
})

/** As `POST /v1/attestors/check` answers. */
export const attestReport = z.looseObject({
  outcome: z.enum(['matched', 'unmatched', 'statement', 'rejected', 'unavailable']),
  attestor: text.nullable(),
  nearly: z.array(z.looseObject({ attestor: text, differs: text, by: text, expected: text, found: text })),
  checks: z.array(check),
  rejection: z.looseObject({ code: text, detail: text }).nullable(),
  unavailable: text.nullable(),
  clock: z.looseObject({
    issued_ago_seconds: z.number().nullable(),
    key_server_ahead_seconds: z.number().nullable(),
  }),
  identity: z
    .looseObject({ issuer: text, subject: text, must_name: z.array(text), claims: z.array(claim) })
    .nullable(),
  replay: z
    .looseObject({
      kind: z.enum(['single_use', 'pinned', 'open']),
      used: z.boolean().nullable(),
      until: text,
    })
    .nullable(),
  agent: text.nullable(),
  unmatched: z.looseObject({ why: text, near: text }).nullable(),
  agents: z.array(z.looseObject({ agent: text, expired: z.boolean(), rules: z.array(rule) })),
})
export type AttestReport = z.infer<typeof attestReport>

/** Lines, the outcome last. */
export function describeReport(report: AttestReport): string[] {
  const { attestor, checks, identity } = report
  return [
    ...(attestor === null ? ['no attestor takes it'] : [`attestor ${attestor}`]),
    ...report.nearly.map(
      one =>
        `  nearly ${one.attestor}: the ${one.differs} differs (${one.by}): it takes ${one.expected}, the evidence has ${one.found}`,
    ),
    ...checks.map(describeCheck),
    ...describeClocks(report.clock),
    ...describeReplay(report.replay),
    ...(identity === null ? [] : describeIdentity(identity)),
    ...report.agents.flatMap(describeAgent),
    describeOutcome(report),
  ].map(printable)
}

function describeCheck({ name, passed, expected, found, rejection, detail }: z.infer<typeof check>): string {
  const figures = [
    ...(passed ? [] : [`${rejection ?? 'refused'}: ${detail ?? ''}`]),
    ...(found === undefined ? [] : [found]),
    ...(expected === undefined ? [] : [`wanted ${expected}`]),
  ]
  return `  ${passed ? 'passed' : 'FAILED'}  ${name.padEnd(12)}  ${figures.join('; ')}`.trimEnd()
}

function describeClocks({ issued_ago_seconds: ago, key_server_ahead_seconds: ahead }: AttestReport['clock']) {
  const lines: string[] = []
  if (ago !== null)
    lines.push(
      ago < 0
        ? `clock    it was issued ${-ago} s ahead of this clock: one of the two is wrong by that at least`
        : `clock    it was issued ${ago} s ago by this clock`,
    )
  if (ahead !== null)
    lines.push(
      `clock    who serves the keys is ${Math.abs(ahead)} s ${ahead < 0 ? 'behind' : 'ahead of'} this clock`,
    )
  return lines
}

const REPLAY = {
  single_use: 'single use: it opens one task',
  pinned:
    'pinned: to the key of its first use; without one, a task at a time, and after the first for reading',
  open: 'open: as often as it comes',
}

function describeReplay(replay: AttestReport['replay']): string[] {
  if (replay === null) return []
  const { kind, used, until } = replay
  const before = used === true ? '; it was used already' : used === false ? '; it was not used yet' : ''
  return [`replay   ${REPLAY[kind]}, until ${shortTime(until)}${before}`]
}

const DECIDED = {
  authority: 'by the issuer',
  caller: 'by whoever asks for it',
  not_known: 'ask the issuer who decides it',
}

function describeIdentity({
  issuer,
  subject,
  claims,
  must_name,
}: NonNullable<AttestReport['identity']>): string[] {
  return [
    `identity ${JSON.stringify(subject)} of ${issuer}`,
    ...claims.map(({ name, value, type, decided_by, counts_with }) => {
      const beside = counts_with === null ? '' : `, counts beside ${counts_with}`
      return `  claim  ${name} = ${JSON.stringify(value)}  (${type ?? 'text'}, ${DECIDED[decided_by]}${beside})`
    }),
    ...must_name.map(name => `  a rule has to name ${name} to match this`),
  ]
}

function describeAgent({ agent, expired, rules }: AttestReport['agents'][number]): string[] {
  const late = expired ? ', which has expired' : ''
  return rules.map(({ rule, outcome, claim, expected, found }) => {
    const of = `agent    ${agent}${late}, rule ${rule}`
    if (outcome === 'matches') return `${of}: matches`
    const has = found === undefined ? 'does not say' : `has ${found}`
    const takes =
      expected === undefined ? 'no value of it' : expected.map(one => JSON.stringify(one)).join(' or ')
    if (outcome === 'unnamed') return `${of}: does not name ${claim}, which it must; the evidence ${has}`
    return `${of}: misses by ${claim}: it takes ${takes}, the evidence ${has}`
  })
}

function describeOutcome({ outcome, agent, rejection, unavailable, unmatched }: AttestReport): string {
  if (outcome === 'matched') return `it is ${agent}; what it may have: mayfly policy simulate`
  if (outcome === 'statement') return 'it holds; it says where a workload runs, and is nobody’s identity'
  if (outcome === 'unavailable') return `it could not be checked: ${unavailable}`
  if (outcome === 'rejected') return `it is rejected: ${rejection?.code}: ${rejection?.detail}`
  return `it is no agent: ${unmatched?.why}: ${unmatched?.near}`
}
