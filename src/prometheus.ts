/** Metrics in Prometheus' own words: a registry of its own, and what is read from the ledger when somebody asks. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Metrics } from './metrics.ts'
import type { Ledger } from './store/ledger.ts'

export type Exposition = { contentType: string; body: string }
export type Prometheus = {
  metrics: Metrics
  /** The text that is served at /metrics. A ledger that does not answer is told as `mayfly_ledger_up 0`. */
  expose(read: Pick<Ledger, 'read' | 'now'>): Promise<Exposition>
}

/** Distinct values of one label; what comes beyond is counted as `other`. */
const labelValues = 100
/** The ledger is counted at most this often, and never for more than a hundredth of the time. */
const countEveryMs = 15_000
const costShare = 100

const quick = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const slow = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600]

export function createPrometheus({ version, now }: { version: string; now: () => number }): Prometheus {
  const registers = [new Registry()]
  const [registry] = registers as [Registry]
  new Gauge({ name: 'mayfly_build_info', help: 'Always 1.', labelNames: ['version'], registers }).set(
    { version },
    1,
  )
  const seen = countedAsItHappens(registers)
  const refresh = countedWhenAsked(registers, now)
  return {
    metrics: seen,
    async expose(ledger) {
      await refresh(ledger)
      return { contentType: registry.contentType, body: await registry.metrics() }
    },
  }
}

function countedAsItHappens(registers: Registry[]): Metrics {
  const mint = new Histogram({
    name: 'mayfly_mint_seconds',
    help: 'Calls to an issuer for a credential, by outcome: issued, refused, unavailable.',
    ...{ labelNames: ['issuer', 'outcome'], buckets: quick, registers },
  })
  const refusals = counter('mayfly_refusals_total', 'Requests refused, by code.', 'code', registers)
  const rejected = counter(
    'mayfly_evidence_rejected_total',
    'Evidence not accepted, by reason.',
    'reason',
    registers,
  )
  const alarms = counter('mayfly_alarms_total', 'Log lines with an alarm, by its name.', 'alarm', registers)
  const death = new Histogram({
    name: 'mayfly_revocation_seconds',
    help: 'From the moment a credential was due to end until it was seen dead.',
    ...{ labelNames: ['issuer'], buckets: slow, registers },
  })
  const flagged = new Gauge({
    name: 'mayfly_agents_flagged',
    help: 'Agents that somebody should look at, as of the last daily look.',
    ...{ labelNames: ['flag'], registers },
  })
  const breaker = new Gauge({
    name: 'mayfly_breaker_open',
    help: '1 while an issuer is left alone after revocations failed in a row.',
    ...{ labelNames: ['issuer'], registers },
  })
  const write = new Histogram({
    name: 'mayfly_ledger_write_seconds',
    help: 'Ledger transactions, from being handed in to being answered.',
    ...{ buckets: quick, registers },
  })
  const group = new Histogram({
    name: 'mayfly_ledger_group_transactions',
    help: 'Transactions in one commit of the embedded ledger.',
    ...{ buckets: [1, 2, 4, 8, 16, 32, 64], registers },
  })
  const judgements = new Counter({
    name: 'mayfly_policy_judgements_total',
    help: 'Asks judged by policy, by outcome: allow, deny, needs_approval, failed; and whether it was remembered.',
    ...{ labelNames: ['outcome', 'how'], registers },
  })
  const restarts = counter(
    'mayfly_policy_restarts_total',
    'Threads started in place of one that judged by policy and died, by outcome: started, failed.',
    'outcome',
    registers,
  )
  const leaks = new Counter({
    name: 'mayfly_leaks_total',
    help: 'Secrets reported as leaked, each once, by what they are and who said so: operator, holder, github.',
    ...{ labelNames: ['kind', 'source'], registers },
  })
  const scanned = counter(
    'mayfly_secret_alerts_total',
    'Alerts of secret scanning, by outcome: known (a leak of ours), unknown, gone, not_looked_at.',
    'outcome',
    registers,
  )
  const drills = new Counter({
    name: 'mayfly_drills_total',
    help: 'Drills, by outcome: passed, failed, unprovable.',
    ...{ labelNames: ['issuer', 'outcome'], registers },
  })
  const answers = new Histogram({
    name: 'mayfly_approval_answer_seconds',
    help: 'From asking humans to the end of the approval, by outcome: approved, denied, expired.',
    ...{ labelNames: ['outcome'], buckets: slow, registers },
  })
  const drillPassed = new Gauge({
    name: 'mayfly_drill_passed',
    help: 'Whether the last drill of an issuer on this broker passed.',
    ...{ labelNames: ['issuer'], registers },
  })
  const drillDead = new Gauge({
    name: 'mayfly_drill_dead_seconds',
    help: 'How long the canary of the last drill lived past the end of its task.',
    ...{ labelNames: ['issuer'], registers },
  })
  return {
    minted: (issuer, outcome, ms) => mint.observe({ issuer, outcome }, ms / 1_000),
    refused: code => refusals(code),
    secretAlert: outcome => scanned(outcome),
    leaked: (kind, source) => leaks.inc({ kind, source }),
    evidenceRejected: reason => rejected(reason),
    dead: (issuer, ms) => death.observe({ issuer }, ms / 1_000),
    agentsFlagged: (flag, count) => flagged.set({ flag }, count),
    breaker: (issuer, isOpen) => breaker.set({ issuer }, isOpen ? 1 : 0),
    written: ms => write.observe(ms / 1_000),
    committed: bodies => group.observe(bodies),
    drilled(issuer, outcome, deadMs) {
      drills.inc({ issuer, outcome })
      drillPassed.set({ issuer }, outcome === 'passed' ? 1 : 0)
      if (deadMs !== null) drillDead.set({ issuer }, deadMs / 1_000)
    },
    judged: (outcome, how) => judgements.inc({ outcome, how }),
    policyRestarted: outcome => restarts(outcome),
    answered: (outcome, ms) => answers.observe({ outcome }, ms / 1_000),
    alarm: name => alarms(name),
  }
}

/** By one label, whose values stay few whatever a plugin makes up. */
function counter(name: string, help: string, label: string, registers: Registry[]): (value: string) => void {
  const counts = new Counter({ name, help, labelNames: [label], registers })
  const known = new Set<string>()
  return value => {
    if (known.size < labelValues) known.add(value)
    counts.inc({ [label]: known.has(value) ? value : 'other' })
  }
}

/** Gauges that are read from the ledger; who asks too often gets the figures of the time before. */
function countedWhenAsked(registers: Registry[], now: () => number) {
  const up = new Gauge({ name: 'mayfly_ledger_up', help: 'Whether the ledger answered.', registers })
  const set = ledgerGauges(registers)
  let again = 0
  let underway: Promise<void> | undefined

  async function read(ledger: Pick<Ledger, 'read' | 'now'>): Promise<void> {
    const from = now()
    try {
      set(await figuresOf(ledger))
      up.set(1)
    } catch {
      up.set(0)
    }
    const cost = Math.max(0, now() - from)
    again = now() + Math.max(countEveryMs, cost * costShare)
  }

  return async (ledger: Pick<Ledger, 'read' | 'now'>) => {
    if (underway === undefined && now() < again) return
    underway ??= read(ledger).finally(() => {
      underway = undefined
    })
    await underway
  }
}

type Figures = Awaited<ReturnType<typeof figuresOf>>

async function figuresOf({ read, now }: Pick<Ledger, 'read' | 'now'>) {
  const at = await now()
  const ages: { purpose: string; ageMs: number }[] = []
  for (const purpose of ['task-jwt', 'receipt', 'web-identity'] as const) {
    const signing = (await read.signingKeys(purpose)).find(key => key.state === 'signing')
    if (signing !== undefined)
      ages.push({ purpose, ageMs: at - (signing.signing_from ?? signing.created_at) })
  }
  const blocks = await read.revocations({ blocking: true }, { limit: 1_000 })
  return {
    at,
    ages,
    blocks: blocks.items.length,
    waiting: await read.waitingApprovals(),
    backlog: await read.revokingBacklog(),
    counts: await read.leaseCounts(),
  }
}

function ledgerGauges(registers: Registry[]): (figures: Figures) => void {
  const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Gauge({ name, help, labelNames, registers })
  const leases = gauge('mayfly_leases', 'Leases, by state and issuer.', ['state', 'issuer'])
  const backlog = gauge(
    'mayfly_leases_past_end',
    'Credentials that are over for Mayfly and not yet closed.',
    [...['issuer', 'revocability']],
  )
  const oldest = gauge('mayfly_oldest_unrevoked_seconds', 'How long the oldest of these has been over.', [
    ...['issuer', 'revocability'],
  ])
  const age = gauge('mayfly_signing_key_age_seconds', 'How long a key has been signing.', ['purpose'])
  const waiting = gauge('mayfly_approvals_waiting', 'Approvals that wait for humans.', [])
  const waits = gauge('mayfly_oldest_approval_seconds', 'How long the oldest of these has waited.', [])
  const blocks = gauge('mayfly_blocks', 'Revocations that refuse new tasks and credentials.', [])
  return figures => {
    for (const one of [leases, backlog, oldest, age]) one.reset()
    for (const { state, issuer, count } of figures.counts) leases.set({ state, issuer }, count)
    for (const { issuer, revocability, count, oldest: since } of figures.backlog) {
      backlog.set({ issuer, revocability }, count)
      oldest.set({ issuer, revocability }, Math.max(0, figures.at - since) / 1_000)
    }
    for (const { purpose, ageMs } of figures.ages) age.set({ purpose }, Math.max(0, ageMs) / 1_000)
    blocks.set(figures.blocks)
    waiting.set(figures.waiting.count)
    waits.set(Math.max(0, figures.at - (figures.waiting.oldest ?? figures.at)) / 1_000)
  }
}
