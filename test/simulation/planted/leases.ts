/** Planted in how credentials are minted, judged, revoked and proven. */
import { ProviderUnavailable } from '../../../issuers/issuer.ts'
import type { Ledger, LedgerWrite } from '../../../src/store/ledger.ts'
import type { Mutation } from '../mutation.ts'
import { issuing, writing } from './wrap.ts'

/** Answers when the body has run; what becomes of the commit nobody waits for. */
function answeringEarly(ledger: Ledger): Ledger {
  return {
    ...ledger,
    write: <T>(body: (tx: LedgerWrite) => Promise<T>) =>
      new Promise<T>((resolve, reject) => {
        const working = ledger.write(async tx => {
          const value = await body(tx)
          resolve(value)
          return value
        })
        working.catch(reject)
      }),
  }
}

const currentFence = async ({ read }: Ledger, lease: string) => (await read.lease(lease))?.fence ?? 0

export const leaseBugs: readonly Mutation[] = [
  { name: 'an answer goes out before its commit', ledger: answeringEarly },
  {
    name: 'a lost answer is taken for a refusal, and its intent closed',
    broker: issuing(issuer => ({
      issue: grant =>
        issuer
          .issue(grant)
          .catch(cause => Promise.reject(new ProviderUnavailable('lost', { nothingMinted: true, cause }))),
    })),
  },
  {
    name: 'a secret that comes after the end is not attached',
    ledger: writing(() => ({ attachSecret: async () => true })),
  },
  {
    name: 'a credential is answered although its task has ended',
    ledger: writing(tx => ({
      async activateLease(id, to) {
        if (!(await tx.activateLease(id, to))) await tx.attachSecret(id, to)
        return true
      },
    })),
  },
  {
    name: 'a claim is kept without its fence',
    ledger: writing((tx, ledger) => ({
      async retryLease(id, _, to) {
        return tx.retryLease(id, await currentFence(ledger, id), to)
      },
      async closeLease(id, fence, to) {
        return tx.closeLease(id, fence === null ? null : await currentFence(ledger, id), to)
      },
    })),
  },
  {
    name: 'a retry forgets that the provider was told',
    ledger: writing(tx => ({
      retryLease(id, fence, { revoked_at: _, ...to }) {
        return tx.retryLease(id, fence, to)
      },
    })),
  },
  {
    name: 'a retry puts a lease off until it is over anyway',
    ledger: writing((tx, ledger) => ({
      async retryLease(id, fence, to) {
        const row = await ledger.read.lease(id)
        return tx.retryLease(id, fence, { ...to, due_at: row?.dead_by ?? to.due_at })
      },
    })),
  },
  {
    name: 'a provider that does not answer is taken for one that revoked',
    broker: issuing(issuer => ({
      revoke: lease => issuer.revoke(lease).catch(() => 'revoked' as const),
      probe: async lease => (lease.revokedAt === undefined ? issuer.probe(lease) : 'dead'),
    })),
  },
  {
    name: 'a lease is over a while before its provider says so',
    broker: ({ limits }) => ({ limits: { ...limits, clockSkewMs: -5 * 60_000 } }),
  },
  {
    name: 'what an ask covers is not looked at',
    broker: issuing(() => ({ covers: () => true })),
  },
  {
    name: 'what the provider gave is taken for what was asked',
    broker: issuing(issuer => ({
      async issue(grant) {
        const outcome = await issuer.issue(grant)
        return outcome.ok ? { ...outcome, granted: grant.ask } : outcome
      },
    })),
  },
  {
    name: 'a mint is not bound to its time',
    broker: issuing(issuer => ({
      issue: grant => issuer.issue({ ...grant, mintNotAfter: Number.MAX_SAFE_INTEGER }),
    })),
  },
  {
    name: 'a document names only those of this pass',
    broker: issuing(issuer => {
      const { revokeGroup } = issuer
      if (revokeGroup === undefined) return {}
      return {
        revokeGroup: (group, members, until) =>
          revokeGroup(
            group,
            members.filter(one => !one.told),
            until,
          ),
      }
    }),
  },
  {
    name: 'a revocation is reported before anybody has seen it dead',
    ledger: writing(tx => ({
      retryLease: async (id, fence, to) =>
        to.revoked_at === undefined
          ? tx.retryLease(id, fence, to)
          : (await tx.closeLease(id, fence, { closed_as: 'revoked', revoked_at: to.revoked_at })) !==
            undefined,
    })),
  },
  {
    name: 'wakes are lost, and nothing looks by itself',
    broker: () => ({ wake: () => {} }),
    reaperSchedule: () => () => () => {},
  },
  {
    name: 'a worker that fails leaves its claims for ever',
    ledger: writing(tx => ({
      claimDue: (issuer, limit) => tx.claimDue(issuer, limit, Number.MAX_SAFE_INTEGER),
    })),
  },
  {
    name: 'a closed lease does not settle its task',
    ledger: writing((tx, ledger) => ({
      async settleTasks(ids) {
        const [first] = ids
        const open =
          first === undefined
            ? []
            : (await ledger.read.leases({ task: first, state: 'outstanding' }, { limit: 9 })).items
        return open.length > 0 ? [] : tx.settleTasks(ids)
      },
    })),
  },
]
