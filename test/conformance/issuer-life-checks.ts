/** Rules on a credential's life: minted, used, ended, proven. The provider answers throughout. */
import assert from 'node:assert/strict'
import {
  end,
  grantOf,
  handleOf,
  type IssuerCheck,
  type IssuerSubject,
  look,
  mintGranted,
  prove,
  providerOf,
  withoutProvider,
  withoutRevocation,
} from './issuer-subject.ts'

/** Whole seconds are as fine as most providers count. */
const ROUNDING_MS = 1_000

export const issuerLifeChecks: readonly IssuerCheck[] = [
  {
    name: 'opening asks nothing of the provider',
    needless: withoutProvider,
    async run(subject) {
      assert.equal(providerOf(subject).requests(), 0)
    },
  },
  {
    name: 'a minted credential does what was asked, and nothing beside it',
    async run(subject) {
      const { secret } = await mintGranted(subject)
      assert.equal(await subject.use(secret), 'accepted', 'the asked call is refused')
      assert.equal(await subject.useOutside(secret), 'refused', 'a call that was not asked for is accepted')
    },
  },
  {
    name: 'what the provider granted is told in the form of an ask, and is no wider than the ask',
    async run(subject) {
      const { grant, issued } = await mintGranted(subject)
      assert.ok(subject.issuer.covers(grant.ask, issued.granted), 'the ask does not cover what was granted')
      assert.ok(subject.issuer.ask.safeParse(issued.granted).success, 'what was granted is no ask')
    },
  },
  {
    name: 'the secret is in the form that the issuer declares',
    async run(subject) {
      const { secret } = await mintGranted(subject)
      if (subject.issuer.secretFormat === 'token') return assert.match(secret, /^[\x21-\x7e]+$/)
      const parts: unknown = JSON.parse(secret)
      assert.ok(typeof parts === 'object' && parts !== null && !Array.isArray(parts))
    },
  },
  {
    name: 'the life that is told is ahead of now, within the declared longest, and true: after it all is refused',
    async run(subject) {
      const { grant, issued, secret } = await mintGranted(subject)
      const { longestLifeMs } = subject.issuer
      assert.ok(issued.providerExpiresAt > subject.now(), 'it is dead at birth')
      assert.ok(issued.providerExpiresAt <= grant.mintNotAfter + longestLifeMs, 'longer than longestLifeMs')
      subject.advance(issued.providerExpiresAt - subject.now() + ROUNDING_MS)
      assert.equal(await subject.use(secret), 'refused', 'it is accepted after the expiry that was told')
    },
  },
  {
    name: 'the lease id can be found at the provider',
    needless: withoutProvider,
    async run(subject) {
      const { grant } = await mintGranted(subject)
      const handle = providerOf(subject).given().at(-1)?.handle ?? ''
      assert.ok(handle.includes(grant.lease), `the provider knows it as ${handle}, without ${grant.lease}`)
    },
  },
  {
    name: 'an introspected credential names its lease as jti',
    needless: ({ issuer }) =>
      issuer.revocability === 'introspected' ? undefined : 'it is found by its hash',
    async run(subject) {
      const { grant, secret } = await mintGranted(subject)
      const payload = Buffer.from(secret.split('.')[1] ?? '', 'base64url').toString() || '{}'
      assert.equal((JSON.parse(payload) as { jti?: unknown }).jti, grant.lease, 'no verifier would find it')
    },
  },
  {
    name: 'probe says alive before the end and dead after it',
    needless: subject =>
      withoutRevocation(subject) ??
      (subject.issuer.revocability === 'introspected' ? 'the ledger, not the issuer, knows' : undefined),
    async run(subject) {
      const { handle } = await mintGranted(subject)
      const before = await look(subject, handle)
      assert.equal(before.proof, 'alive')
      await end(subject, handle)
      assert.equal(await prove(subject, before.lease), 'dead')
    },
  },
  {
    name: 'probe of a credential that only expires never says dead before its expiry',
    needless: ({ issuer }) =>
      issuer.revocability === 'expiry_only' ? undefined : 'the credential can be revoked',
    async run(subject) {
      const { handle, issued } = await mintGranted(subject)
      assert.notEqual((await look(subject, handle)).proof, 'dead')
      subject.advance(issued.providerExpiresAt - subject.now() + ROUNDING_MS)
      assert.notEqual((await look(subject, handle)).proof, 'alive')
    },
  },
  {
    name: 'a revoked credential is refused',
    needless: subject =>
      withoutRevocation(subject) ??
      (subject.issuer.revocability === 'introspected' ? 'the ledger, not the issuer, knows' : undefined),
    async run(subject) {
      const { handle, secret } = await mintGranted(subject)
      assert.equal(await end(subject, handle), 'revoked')
      assert.equal(await subject.use(secret), 'refused', 'a revoked credential is accepted')
      assert.equal(aliveAt(subject), 0)
    },
  },
  {
    name: 'revoking is idempotent',
    needless: withoutRevocation,
    async run(subject) {
      const { handle } = await mintGranted(subject)
      assert.equal(await end(subject, handle), 'revoked')
      assert.match(await end(subject, handle), /^(revoked|already_gone)$/)
    },
  },
  {
    name: 'two mints at once are two credentials, and the end of one leaves the other',
    async run(subject) {
      // Resolved first, so that the two mints are all that happens at once.
      await mintGranted(subject)
      const [first, second] = await Promise.all([mintGranted(subject), mintGranted(subject)])
      assert.notEqual(first.secret, second.secret, 'two leases got one credential')
      if (withoutRevocation(subject) === undefined) await end(subject, first.handle)
      assert.equal(await subject.use(second.secret), 'accepted', 'the other credential died with it')
    },
  },
  {
    name: 'a refusal is a value that gives a reason, and leaves nothing alive',
    async run(subject) {
      const answer = await subject.issuer.issue(
        grantOf(subject, subject.issuer.ask.parse(subject.asks.refused)),
      )
      if (answer.ok) assert.fail('what should be refused was granted')
      assert.match(answer.reason, /^(not_permitted|not_found|rejected|rate_limited)$/)
      assert.ok(answer.detail.length > 10, 'the detail says nothing')
      assert.equal(aliveAt(subject), 0)
    },
  },
  {
    name: 'no mint after mintNotAfter by the own clock: nothing is asked of the provider, nothing is given',
    async run(subject) {
      const grant = grantOf(subject, await prepared(subject))
      const before = givenAt(subject)
      subject.advance(subject.issuer.mintWindowMs + ROUNDING_MS)
      const answer = await subject.issuer.issue({ ...grant, expiresAt: subject.now() + 60_000 })
      assert.equal(answer.ok, false, 'minted after mintNotAfter')
      assert.equal(givenAt(subject), before)
    },
  },
]

/** An ask ready to mint, with nothing left to look up. */
export async function prepared(subject: IssuerSubject): Promise<unknown> {
  const { grant, issued } = await mintGranted(subject)
  if (withoutRevocation(subject) === undefined) {
    await end(subject, handleOf(subject, grant, issued))
  }
  return grant.ask
}

function aliveAt({ provider }: IssuerSubject): number {
  return 'impossible' in provider ? 0 : provider.given().filter(({ alive }) => alive).length
}

function givenAt({ provider }: IssuerSubject): number {
  return 'impossible' in provider ? 0 : provider.given().length
}
