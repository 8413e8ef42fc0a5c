/** The issuers of a simulated broker: two over simulated providers, and the real `signed-jwt`. */
import { z } from 'zod'
import {
  type Grant,
  type Issued,
  type Issuer,
  type LeaseHandle,
  type Observation,
  ProviderUnavailable,
  type Refused,
} from '../../issuers/issuer.ts'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Look, WorkWatch } from '../../issuers/shared/work.ts'
import { signedJwt } from '../../issuers/signed-jwt.ts'
import { CI, type Ci } from './ci.ts'
import type { Network } from './network.ts'
import type { MintAnswer, MintCall, Minted, Providers, Refusal } from './providers.ts'
import type { Chance } from './random.ts'
import type { Process } from './scheduler.ts'

const minute = 60_000
const HUB: HubSettings = { name: 'hub', windowMs: 2 * minute, lifeMs: 20 * minute }
/** Over before its task is, even where nobody came back from its mint. */
const BRIEF: HubSettings = { name: 'brief', windowMs: 30_000, lifeMs: minute }
const ROLE_LIFE_MS = 20 * minute
export const ORDERS = 'https://orders.sim'

const items = z.array(z.string()).min(1)
type HubSettings = { name: 'hub' | 'brief'; windowMs: number; lifeMs: number }
type HubAsk = { items: string[] }
type RoleAsk = { role: string; items: string[] }

export type IssuerWorld = {
  process: Process
  /** The broker's own clock, which may be off. */
  now: () => number
  network: Network
  providers: Providers
  ci: Ci
  /** Epoch ms until which a look wants the CI to be left alone; undefined: it does not say. */
  holdUntil: () => number | undefined
  chance: Chance
  /** Whether this mint is answered with more than was asked. */
  isWider: () => boolean
  /** Whether this revocation is answered as done, and is not. */
  isLie: () => boolean
  sign: (typ: string, claims: Readonly<Record<string, unknown>>) => string
}

export function simulatedIssuers(world: IssuerWorld): Map<string, Issuer> {
  // The list of issuers forgets each one's ask, as the real one does.
  return new Map([
    ['hub', hub(world, HUB) as Issuer],
    ['brief', hub(world, BRIEF) as Issuer],
    ['roles', roles(world) as Issuer],
    ['jwt', jwt(world)],
  ])
}

const includes = (wide: readonly string[], narrow: readonly string[]) =>
  narrow.every(one => wide.includes(one))

function hub(world: IssuerWorld, { name, windowMs, lifeMs }: HubSettings): Issuer<HubAsk> {
  const { process, network, providers, now } = world
  const ask = z.strictObject({ items })
  let knownUntil = 0
  return {
    revocability: 'immediate',
    secretFormat: 'token',
    holdsSecret: true,
    mintsLocally: false,
    mintWindowMs: windowMs,
    longestLifeMs: lifeMs,
    ask,
    async resolve(asked, mintOwn) {
      if (now() < knownUntil) return { ok: true, ask: asked }
      const own = await mintOwn({ items: ['a'] })
      if (!own.ok) return own
      knownUntil = now() + minute
      return { ok: true, ask: asked }
    },
    covers: (ceiling, wanted) => includes(ceiling.items, wanted.items),
    facts: asked => ({
      // What an agent in quarantine may still have.
      phase: asked.items.every(item => item === 'a') ? 'read' : 'propose',
      resources: asked.items.map(item => ({ type: 'Item', id: item, name: item, parents: [] })),
      permissions: [],
      mayLeaveAccess: false,
    }),
    issue: grant => mint(world, name, grant, { lifeMs }, said => ({ items: [...said.items] })),
    ...(name === 'hub' && { watch: watch(world) }),
    async revoke(lease) {
      const secret = secretOf(lease)
      const isLie = world.isLie()
      const effect = () => (isLie ? ('revoked' as const) : providers.revoke(secret))
      const answer = await network.call(process, name, 'revoke', effect, { isRepeatable: true })
      return answer === 'revoked' ? 'revoked' : 'already_gone'
    },
    async probe(lease) {
      if (lease.secret === undefined) return 'unknown'
      const secret = lease.secret.reveal()
      try {
        const use = () => providers.use(secret)
        const seen = await network.call(process, name, 'probe', use, { isRepeatable: true })
        return seen === 'allowed' ? 'alive' : 'dead'
      } catch (error) {
        if (error instanceof ProviderUnavailable) return 'unknown'
        throw error
      }
    },
  }
}

/** Runs are looked at with a token of the hub, as GitHub's are with one of an installation. */
function watch({ process, network, providers, ci, holdUntil }: IssuerWorld): WorkWatch<HubAsk> {
  async function look<Seen>(secret: Secret, see: () => Seen | undefined): Promise<Look<Seen>> {
    const peek = () =>
      providers.use(secret.reveal()) === 'allowed' ? { seen: see(), until: holdUntil() } : 'unauthorized'
    const answer = await network.call(process, 'hub', 'look', peek, { isRepeatable: true })
    if (answer === 'unauthorized') throw new ProviderUnavailable('the token is not good any more')
    const { seen, until } = answer
    return until === undefined ? { seen } : { seen, holdUntil: until }
  }
  return {
    provider: CI,
    ask: () => ({ items: ['a'] }),
    jobs: (run, secret) => look(secret, () => ci.jobs(run)),
    run: (run, secret) => look(secret, () => ci.run(run)),
    job: (run, job, secret) => look(secret, () => ci.jobs(run)?.get(job)),
  }
}

function roles(world: IssuerWorld): Issuer<RoleAsk> {
  const { process, network, providers, now } = world
  return {
    revocability: 'propagating',
    // What can be taken on into another role is out of the document's reach.
    revocabilityOf: asked => (asked.role === 'chain' ? 'expiry_only' : 'propagating'),
    secretFormat: 'json',
    holdsSecret: true,
    mintsLocally: false,
    mintWindowMs: 5 * minute,
    longestLifeMs: ROLE_LIFE_MS,
    ask: z.strictObject({ role: z.enum(['deploy', 'chain']), items }),
    covers: (ceiling, wanted) => ceiling.role === wanted.role && includes(ceiling.items, wanted.items),
    facts: asked => ({
      phase: 'deploy',
      resources: [{ type: 'Role', id: asked.role, name: asked.role, parents: [] }],
      permissions: asked.items,
      mayLeaveAccess: true,
    }),
    issue: grant => {
      const carries = { role: grant.ask.role, lifeMs: ROLE_LIFE_MS, cutAt: grant.expiresAt }
      return mint(world, 'roles', grant, carries, said => ({ role: grant.ask.role, items: [...said.items] }))
    },
    revoke: async () => {
      throw new Error('a member of a group is not revoked by itself')
    },
    async probe(lease): Promise<Observation> {
      if (lease.secret === undefined) return { proof: 'unknown', lookAgainMs: Number.POSITIVE_INFINITY }
      const secret = lease.secret.reveal()
      const use = () => providers.use(secret)
      const seen = await network.call(process, 'roles', 'probe', use, { isRepeatable: true })
      if (seen === 'allowed') return { proof: 'alive', remember: 'seen at work', lookAgainMs: 20_000 }
      // A denial proves something only of what was once allowed.
      return lease.remembered === undefined ? { proof: 'unknown', lookAgainMs: 20_000 } : { proof: 'dead' }
    },
    group: asked => asked.role,
    async revokeGroup(group, members, until) {
      if (now() >= until) throw new ProviderUnavailable('the time to write this document has passed')
      const leases = members.map(member => member.lease)
      const write = () => providers.writeDocument(group, leases)
      const { left } = await network.call(process, 'roles', 'document', write, {
        isRepeatable: true,
        isPrompt: true,
      })
      return { left }
    },
  }
}

/** The real one: its signer is a port, and so is its clock. */
function jwt({ now, sign }: IssuerWorld): Issuer {
  const settings = signedJwt.settings.parse({ audiences: [{ audience: ORDERS, scopes: ['read', 'write'] }] })
  return signedJwt.open(settings, {
    name: 'jwt',
    now,
    fetch: () => Promise.reject(new Error('signed-jwt fetches nothing')),
    readSecretFile: () => Promise.reject(new Error('signed-jwt reads no file')),
    jwt: { issuerUrl: 'https://mayfly.sim', sign: async (typ, claims) => sign(typ, claims) },
    userAgent: 'mayfly/sim',
  })
}

async function mint<Ask extends { items: string[] }>(
  { process, network, providers, chance, now, isWider }: IssuerWorld,
  provider: Minted['provider'],
  grant: Grant<Ask>,
  carries: Pick<MintCall, 'role' | 'lifeMs' | 'cutAt'>,
  granted: (said: MintAnswer) => Ask,
): Promise<Issued<Ask> | Refused> {
  if (now() >= grant.mintNotAfter)
    return { ok: false, reason: 'rejected', detail: 'the time to mint has passed' }
  if (chance.hits(0.1))
    await beforeMint(() => network.call(process, provider, 'look up', () => 'found', { isRepeatable: true }))
  const call = { ...carries, lease: grant.lease, items: grant.ask.items, notAfter: grant.mintNotAfter }
  const wider = isWider()
  const effect = (): MintAnswer | Refusal => providers.mint(provider, call, wider)
  const said = await network.call(process, provider, 'mint', effect, { isRepeatable: false })
  if ('refused' in said)
    return {
      ok: false,
      reason: said.refused === 'too_late' ? 'rejected' : 'not_permitted',
      detail: said.refused,
    }
  return {
    ok: true,
    secret: new Secret(said.secret),
    granted: granted(said),
    providerExpiresAt: said.expiresAt,
  }
}

/** What fails before the mint call has left is the minter's word that nothing was minted. */
async function beforeMint(ask: () => Promise<unknown>): Promise<void> {
  try {
    await ask()
  } catch (cause) {
    throw new ProviderUnavailable('nothing was asked yet', { nothingMinted: true, cause })
  }
}

function secretOf(lease: LeaseHandle): string {
  if (lease.secret === undefined) throw new ProviderUnavailable('the token was never seen')
  return lease.secret.reveal()
}
