/**
 * Holds what the ledger says against what is true, at every commit, mint and answer. It knows everything and
 * touches nothing.
 */
import type { Credential } from '../../src/broker/credentials/issue-credential.ts'
import { secretHash } from '../../src/broker/credentials/lease-plan.ts'
import type { Agent } from '../../src/policy/agent.ts'
import type { TaskWorkRow } from '../../src/store/rows.ts'
import type { Ci } from './ci.ts'
import { lateDeliveries, messageProblems } from './delivery-truth.ts'
import type { Host } from './host.ts'
import { commitChecks } from './invariants.ts'
import type { Change } from './ledger/tables.ts'
import type { Committed } from './ledger/transaction.ts'
import type { Minted, Providers } from './providers.ts'
import type { Message, Receivers } from './receivers.ts'
import { verdictOf } from './registered.ts'
import type { Scheduler } from './scheduler.ts'
import { isWithin, type Scope, scopeProblem } from './scope.ts'
import { unsettled } from './settled-truth.ts'
import { claimsOf } from './signature.ts'
import { standingProblems } from './standing-truth.ts'
import type { Tally } from './tally.ts'
import { outlivedWork } from './work-truth.ts'

export type Facts = {
  rows: Readonly<Committed>
  providers: Providers
  receivers: Receivers
  scheduler: Scheduler
  tally: Tally
  /** By task: until when a heartbeat that was answered keeps it. */
  beats: Map<string, number>
  /** Virtual ms in which no broker could write; `to` is infinite while it goes on. */
  outages: { from: number; to: number }[]
  /** Every generation of the registry, oldest first, and the moment of its COMMIT. */
  generations: Generation[]
  /** By approval: the leases that were minted under it and not given back. */
  spent: Map<string, Set<string>>
  ci: Ci
  /** By task: the work that it belongs to. */
  bindings: Map<string, TaskWorkRow>
  /** From when on nothing fails any more. */
  calmSince: number | undefined
  /** The first moment of the history. */
  began: number
  /** By delivery: the broker that claimed the attempt under way. */
  attempts: Map<string, string>
  /** By lease: the broker whose claim is the last. */
  claims: Map<string, string>
  hostOf: (name: string) => Pick<Host, 'broker' | 'registry' | 'files'> | undefined
}

export type Generation = { generation: number; files: string | null; at: number }

/** No broker is later than this once nothing fails any more. */
const OVERDUE_MS = 45_000

/** Something that must never happen did. */
export class Violation extends Error {
  override name = 'Violation'
}

export type Oracle = ReturnType<typeof createOracle>

type Outside = Pick<Facts, 'rows' | 'providers' | 'receivers' | 'ci' | 'scheduler' | 'tally' | 'hostOf'>

export function createOracle(outside: Outside) {
  const facts: Facts = {
    ...{ ...outside, began: outside.scheduler.now(), calmSince: undefined },
    ...{ beats: new Map(), outages: [], generations: [], spent: new Map() },
    ...{ attempts: new Map(), claims: new Map(), bindings: new Map() },
  }
  const { rows, providers, scheduler } = facts
  const answered = new Map<string, Credential>()
  /** The commit, counted from 1, that made a lease active or ended a task: moments are those of a beginning. */
  const commits = { active: new Map<string, number>(), ended: new Map<string, number>() }
  let commit = 0
  let violation: Violation | undefined

  function fail(what: string): undefined {
    violation ??= new Violation(`at ${scheduler.now()}: ${what}`)
  }

  return {
    failure: () => violation,
    fail,
    facts,
    onCommit(changes: readonly Change[], by: string): void {
      commit += 1
      for (const { table, key, after } of changes) {
        if (table === 'leases' && after?.state === 'active' && !commits.active.has(key))
          commits.active.set(key, commit)
        if (table === 'tasks' && after?.state !== 'active' && !commits.ended.has(key))
          commits.ended.set(key, commit)
      }
      for (const { table, key, after } of changes)
        if (table === 'tasks' || table === 'leases')
          scheduler.note(
            `${by} ${table} ${key} ${after?.state} ${after !== undefined && 'due_at' in after ? after.due_at : ''}`,
          )
      for (const problem of commitChecks(facts, changes, by)) fail(`${problem} (committed by ${by})`)
    },

    onMint(one: Minted): void {
      const lease = rows.leases.get(one.lease)
      if (lease === undefined)
        return void fail(`a credential was minted for ${one.lease}, which the ledger does not know`)
      if (lease.state === 'closed')
        return void fail(`a credential was minted for ${one.lease}, which is ${lease.closed_as}`)
      if (providers.of(one.lease).length > 1) fail(`two credentials were minted for ${one.lease}`)
    },

    /** A message came to a webhook. */
    onMessage(message: Message): void {
      for (const problem of messageProblems(facts, message)) fail(problem)
    },

    /** A credential left a broker on its way to a client. */
    onAnswer(credential: Credential): void {
      const { lease: id } = credential
      const lease = rows.leases.get(id)
      if (lease === undefined) return void fail(`${id} was answered, and the ledger does not know it`)
      if (lease.active_at === null) return void fail(`${id} was answered and never was active`)
      if (lease.secret_sha256 !== secretHash(credential.secret.reveal()))
        return void fail(`${id} was answered with a secret that the ledger does not know`)
      const task = rows.tasks.get(lease.task)
      if ((commits.ended.get(lease.task) ?? commit) < (commits.active.get(id) ?? 0))
        return void fail(`${id} was answered after its task had ended`)
      const problem = scopeProblem(rows, lease, providers.bySecret(credential.secret.reveal())?.items)
      if (problem !== undefined) return void fail(`${id} was answered: ${problem}`)
      if (credential.issuer === 'jwt') {
        const exp = Number(claimsOf(credential.secret.reveal()).exp) * 1_000
        if (exp > (task?.deadline ?? 0)) return void fail(`${id} is a JWT that outlives its task`)
      }
      answered.set(id, credential)
    },

    /** What must hold at any moment. */
    look(): void {
      for (const problem of outlivedWork(facts)) fail(problem)
      for (const one of providers.alive()) {
        const lease = rows.leases.get(one.lease)
        if (lease === undefined || lease.state === 'closed')
          fail(`${one.lease} is alive, and the ledger says ${lease?.closed_as ?? 'nothing'}`)
      }
      for (const id of answered.keys()) {
        const lease = rows.leases.get(id)
        const truth = providers.of(id)[0]
        if (
          lease?.state === 'active' &&
          scheduler.now() < lease.expires_at &&
          truth !== undefined &&
          !providers.isAlive(truth)
        )
          fail(`${id} was answered and is active, and its provider does not take it`)
      }
    },

    /** Soon after the last fault: nothing goes on beyond what the agents in force allow. */
    lookNarrowed(): void {
      for (const lease of rows.leases.values()) {
        const agent = rows.agents.get(lease.agent)
        if (lease.state !== 'active' || agent === undefined) continue
        const { ceiling } = JSON.parse(agent.document) as Pick<Agent, 'ceiling'>
        const isCovered = ceiling[lease.issuer]?.some(allowed =>
          isWithin(allowed as Scope, JSON.parse(lease.granted)),
        )
        if (agent.status !== 'active' || isCovered !== true)
          fail(`${lease.id} is active, and ${lease.agent} may no longer have it`)
        if (verdictOf(rows, lease).forbids.length > 0) fail(`${lease.id} is active, and policy forbids it`)
      }
      for (const agent of rows.agents.values())
        for (const problem of standingProblems(rows, agent)) fail(problem)
      const now = scheduler.now()
      for (const { id, state, expires_at } of rows.approvals.values())
        if (state === 'pending' && expires_at < now - OVERDUE_MS)
          fail(`${id} waits, and it is too late for it`)
      for (const { task, due_at } of rows.check_ins.values())
        if (rows.tasks.get(task)?.state === 'active' && due_at < now - OVERDUE_MS)
          fail(`${task} goes on, and no human has looked after it`)
    },

    /** A while after the last fault: whatever could be ended by telling its provider was ended. */
    lookPrompt(): void {
      this.look()
      for (const lease of rows.leases.values()) {
        if (lease.state !== 'revoking' || lease.provider_expires_at === null) continue
        if (lease.revocability !== 'expiry_only')
          fail(
            `${lease.id} is still being revoked long after the last fault: ${lease.last_error ?? 'no error'}`,
          )
      }
      for (const problem of lateDeliveries(facts)) fail(problem)
    },

    /** Whether everything that waits has come. */
    isSettled: () => unsettled(facts).next().done === true,

    lookSettled(): void {
      this.look()
      for (const problem of unsettled(facts)) fail(problem)
    },
  }
}
