/** How a seed's world is: how many brokers, what goes wrong in it and how often. Each seed has its own mix. */
import type { Chance } from './random.ts'

/** Whom brokers call. */
export type Party = 'provider' | 'webhook'

/** Of one: for each call. */
type CallRates = {
  lost: number
  replyLost: number
  fails: number
  slow: number
  limits: number
  doubles: number
}

export type Profile = {
  brokers: number
  clients: number
  /** How long things go wrong, virtual ms. */
  stormMs: number
  /** Of one: for each event of a broker. */
  crash: number
  /** Of one: for each statement to take its time instead of none. */
  statementWaits: number
  ledgerLost: number
  commitRefused: number
  takenBack: number
  commitUntold: number
  calls: Readonly<Record<Party, CallRates>>
  providerLies: number
  providerWider: number
  providerHolds: number
  answerLost: number
  /** How many of each strike in the storm. */
  pauses: number
  clockJumps: number
  cuts: number
  ledgerOutages: number
  providerOutages: number
  webhookOutages: number
  /** How often a webhook says, for a while, that it is gone for good. */
  webhookGoes: number
  reloads: number
  operatorEnds: number
  /** How often an operator asks for a drill, and how often it is the hour of those of the day. */
  drills: number
  quietHours: number
  /** What the canary of `roles` may become: nobody can end a `chain` early. */
  canaryRole: 'deploy' | 'chain'
  /** How often an agent is suspended or put in quarantine. */
  incidents: number
  /** How often an agent goes for good. */
  offboards: number
  /** How often a team registers something. */
  applies: number
  policyFails: number
  /** A human must look after each task this often; 0: never. */
  checkInMinutes: number
}

/** Each kind of fault is off in half of the seeds, so that what one hides another seed shows. */
export function drawProfile(chance: Chance): Profile {
  const rate = (most: number) => (chance.hits(0.5) ? chance.uniform() * most : 0)
  const some = (most: number) => (chance.hits(0.5) ? chance.between(1, most) : 0)
  const callRates = () => ({
    ...{ lost: rate(0.1), replyLost: rate(0.2), fails: rate(0.1) },
    ...{ slow: rate(0.15), limits: rate(0.1), doubles: rate(0.1) },
  })
  return {
    brokers: chance.between(1, 3),
    clients: chance.between(2, 4),
    stormMs: chance.between(4, 9) * 60_000,
    crash: rate(0.004),
    statementWaits: chance.pick([0.05, 0.2, 0.5]),
    ledgerLost: rate(0.02),
    commitRefused: rate(0.05),
    takenBack: rate(0.1),
    commitUntold: rate(0.08),
    calls: { provider: callRates(), webhook: callRates() },
    providerLies: rate(0.1),
    providerWider: rate(0.1),
    providerHolds: rate(0.2),
    answerLost: rate(0.2),
    pauses: some(3),
    clockJumps: some(3),
    cuts: some(4),
    ledgerOutages: some(2),
    providerOutages: some(2),
    webhookOutages: some(2),
    webhookGoes: chance.hits(0.3) ? 1 : 0,
    reloads: some(3),
    operatorEnds: some(3),
    drills: some(3),
    quietHours: some(2),
    canaryRole: chance.pick(['deploy', 'deploy', 'chain']),
    incidents: some(4),
    offboards: chance.hits(0.2) ? 1 : 0,
    applies: some(3),
    policyFails: rate(0.03),
    checkInMinutes: chance.hits(0.3) ? chance.between(1, 2) : 0,
  }
}
