/** How `aws-sts` ends one session and no other: a Deny on its role, and a probe that tells when it has taken. */
import { z } from 'zod'
import {
  type GroupMember,
  type GroupOutcome,
  type IssuerDeps,
  type KeepOthers,
  type LeaseHandle,
  type Observation,
  ProviderUnavailable,
} from '../issuer.ts'
import { type AwsAsk, roleArn } from './aws-ask.ts'
import { deniedBesides, planDenies, policyCharacters, ROLE_POLICY_CHARACTERS } from './aws-deny-policy.ts'
import { callAs, probeCall } from './aws-probe-call.ts'
import { judgeProbe, sessionKeys } from './aws-proof.ts'
import { IamRefused, type RolePolicies, rolePolicies } from './iam-role-policies.ts'
import { providerUrl } from './provider-url.ts'
import { RateBudget } from './rate-budget.ts'
import { RecentMap } from './recent-map.ts'
import type { AwsKeys } from './sts-client.ts'

export const revocationSettings = z.strictObject({
  /** The broker may read the roles and their inline policies, and write and delete inline policies of its own. */
  role_policy: z.literal(true),
  /** The roles of which that is so. Absent: every role that this issuer assumes. */
  roles: z.array(roleArn).min(1).max(256).optional(),
  /** What the names of its policies begin with. Two installations that end sessions of one role must differ here. */
  policy_name_prefix: z
    .string()
    .regex(/^[\w+=,.@-]{1,96}$/)
    .optional(),
  /**
   * What becomes of those for whom the role's policies have no room: `expire`, they live to their deadline and an
   * alarm says so; `deny_older`, everything on the role that was issued before them ends with them.
   */
  when_full: z.enum(['expire', 'deny_older']).default('expire'),
  /** Another IAM endpoint than AWS's own: a stand-in. */
  iam_endpoint: providerUrl.optional(),
  probe: probeCall.default({ call: 'ec2:DescribeRegions' }),
  /** At most so many probes a minute from one broker. */
  probes_per_minute: z.int().min(1).max(60_000).default(600),
})
export type RevocationSettings = z.infer<typeof revocationSettings>

/** Roles are made anew under the same name now and then; their sessions then have another id. */
const ROLE_ID_MS = 5 * 60_000
const ROLES = 256

export type Revocation = {
  /** Whether a session for this ask can be ended before its deadline. */
  reaches(ask: AwsAsk): boolean
  revokeGroup(
    role: string,
    members: readonly GroupMember<AwsAsk>[],
    until: number,
    keep?: KeepOthers,
  ): Promise<GroupOutcome>
  probe(lease: LeaseHandle<AwsAsk>): Promise<Observation>
}

export function awsRevocation(
  settings: RevocationSettings,
  { region, credentials }: { region: string; credentials: () => Promise<AwsKeys> },
  deps: IssuerDeps,
): Revocation {
  const prefix = settings.policy_name_prefix ?? `mayfly-${deps.name ?? 'aws'}`
  const roleIds = new RecentMap<string>(ROLES, ROLE_ID_MS, deps.now)
  const budget = new RateBudget(settings.probes_per_minute, deps.now)
  const endpoint = settings.iam_endpoint

  return {
    // A session that may assume another role leaves this one's policies behind it.
    reaches: ask => !ask.allow_role_chaining && (settings.roles?.includes(ask.role) ?? true),

    async revokeGroup(role, members, until, keep) {
      const policies = rolePolicies({ region, endpoint }, role, await ownKeys(credentials), deps)
      try {
        const roleId = roleIds.get(role) ?? (await policies.roleId())
        roleIds.set(role, roleId)
        const denyOlder = settings.when_full === 'deny_older'
        return await writeDenies(policies, { prefix, roleId, denyOlder }, { members, keep }, () => {
          if (deps.now() >= until) throw new ProviderUnavailable('the time to write the denies is over')
        })
      } catch (error) {
        if (!(error instanceof IamRefused)) throw error
        return { left: members.map(({ lease }) => lease), because: error.message }
      } finally {
        policies.close()
      }
    },

    async probe(lease) {
      if (lease.secret === undefined) {
        return {
          proof: 'unknown',
          lookAgainMs: Infinity,
          detail: 'it cannot be probed: its keys are not known',
        }
      }
      const wait = budget.take()
      if (wait > 0) return { proof: 'unknown', lookAgainMs: wait, detail: 'the budget of probes is spent' }
      const answer = await callAs(sessionKeys(lease.secret), settings.probe, region, deps)
      return judgeProbe(answer, lease, deps.now())
    },
  }
}

/** Brings the role's policies of ours to what is wanted. What must go goes last, so that nobody is let go meanwhile. */
async function writeDenies(
  policies: RolePolicies,
  named: { prefix: string; roleId: string; denyOlder: boolean },
  { members, keep }: { members: readonly GroupMember<AwsAsk>[]; keep: KeepOthers | undefined },
  checkTime: () => void,
): Promise<GroupOutcome> {
  const all = await policies.read()
  const isOurs = (name: string) => /^-(user|source)-\d+$|^-older$/.test(after(name, named.prefix))
  const ours = new Map([...all].filter(([name]) => isOurs(name)))
  const others = [...all].filter(([name]) => !isOurs(name))
  const taken = others.reduce((sum, [, text]) => sum + policyCharacters(text), 0)
  const kept = await keep?.(deniedBesides(named, ours, members))
  const plan = planDenies(named, ours, { sessions: members, kept }, ROLE_POLICY_CHARACTERS - taken)

  const surplus = [...ours.keys()].filter(name => !plan.policies.has(name))
  // What only says a second time who is denied may go first, to make room.
  const spare = surplus.filter(name => name.startsWith(`${named.prefix}-source-`))
  const growth = ([name, text]: [string, string]) => text.length - (ours.get(name)?.length ?? 0)
  const changed = [...plan.policies].filter(([name, text]) => ours.get(name) !== text)
  for (const name of spare) {
    checkTime()
    await policies.remove(name)
  }
  const standing = [...all].filter(([name]) => !spare.includes(name))
  const free = standing.reduce((left, [, text]) => left - policyCharacters(text), ROLE_POLICY_CHARACTERS)
  // What denies by time comes before those whom it ends lose their names, if there is room for both.
  const rank = (policy: [string, string]) =>
    policy[0] === `${named.prefix}-older` && growth(policy) <= free
      ? Number.NEGATIVE_INFINITY
      : growth(policy)
  for (const [name, text] of changed.sort((a, b) => rank(a) - rank(b))) {
    checkTime()
    await policies.put(name, text)
  }
  for (const name of surplus.filter(name => !spare.includes(name))) {
    checkTime()
    await policies.remove(name)
  }
  return plan.left.length === 0 ? { left: [] } : { left: plan.left, because: FULL }
}

const FULL =
  'the inline policies of the role are full; spread the work over more roles, shorten its tasks, or remove inline policies of its own'

function after(name: string, prefix: string): string {
  return name.startsWith(prefix) ? name.slice(prefix.length) : ''
}

async function ownKeys(credentials: () => Promise<AwsKeys>): Promise<AwsKeys> {
  try {
    return await credentials()
  } catch (cause) {
    if (cause instanceof ProviderUnavailable) throw cause
    throw new ProviderUnavailable("the broker's own AWS credentials cannot be had", { cause })
  }
}
