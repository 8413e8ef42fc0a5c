/** Rules on faults: an outage is a throw and never a refusal, nothing is minted twice, and no secret is told. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { ProviderUnavailable } from '../../issuers/issuer.ts'
import { prepared } from './issuer-life-checks.ts'
import {
  end,
  grantOf,
  type IssuerCheck,
  look,
  mintGranted,
  providerOf,
  withoutProvider,
  withoutRevocation,
} from './issuer-subject.ts'

export const issuerFaultChecks: readonly IssuerCheck[] = [
  {
    name: 'a mint while the provider is down throws ProviderUnavailable',
    needless: withoutProvider,
    async run(subject) {
      const grant = grantOf(subject, await prepared(subject))
      const before = providerOf(subject).given().length
      providerOf(subject).goDown()
      await unavailable(subject.issuer.issue(grant), 'issue')
      assert.equal(providerOf(subject).given().length, before)
    },
  },
  {
    name: 'a mint whose answer is lost throws, and is not tried again',
    needless: withoutProvider,
    async run(subject) {
      const grant = grantOf(subject, await prepared(subject))
      const before = providerOf(subject).given().length
      providerOf(subject).loseMintReplies()
      const error = await unavailable(subject.issuer.issue(grant), 'issue')
      assert.equal(providerOf(subject).given().length - before, 1, 'the provider did not mint exactly once')
      assert.equal(error.nothingMinted, false, 'it says that nothing was minted')
    },
  },
  {
    name: 'a mint whose answer cannot be read throws, and the error does not hold the answer',
    needless: withoutProvider,
    async run(subject) {
      const grant = grantOf(subject, await prepared(subject))
      providerOf(subject).garbleMintReplies('{"token": "canary-7f3a')
      const error = await unavailable(subject.issuer.issue(grant), 'issue')
      assertHides(error, ['canary-7f3a'], 'the error')
    },
  },
  {
    name: 'a mint that reaches the provider after mintNotAfter is refused there',
    needless: withoutProvider,
    async run(subject) {
      const grant = grantOf(subject, await prepared(subject))
      const before = providerOf(subject).given().length
      // Signed now, and arriving late: the caller has another hour, the right to mint has not.
      providerOf(subject).advance(subject.issuer.mintWindowMs + 1_000)
      const answer = await subject.issuer.issue({ ...grant, expiresAt: grant.expiresAt + 3_600_000 })
      assert.equal(answer.ok, false, 'the provider took the mint')
      assert.equal(providerOf(subject).given().length, before)
    },
  },
  {
    name: 'a revocation while the provider is down throws ProviderUnavailable, and works afterwards',
    needless: subject => withoutProvider(subject) ?? withoutRevocation(subject),
    async run(subject) {
      const { handle, secret } = await mintGranted(subject)
      providerOf(subject).goDown()
      const error = await unavailable(end(subject, handle), 'revoke')
      assertHides(error, [secret], 'the error')
      providerOf(subject).recover()
      await end(subject, handle)
      assert.equal(await subject.use(secret), 'refused')
    },
  },
  {
    name: 'a probe while the provider is down does not know',
    needless: withoutProvider,
    async run(subject) {
      const { handle } = await mintGranted(subject)
      providerOf(subject).goDown()
      assert.equal((await look(subject, handle)).proof, 'unknown')
    },
  },
  {
    name: 'a revocation without the secret that it needs throws, and does not say revoked',
    needless: ({ issuer }) => {
      if (issuer.revokeGroup) return 'it is ended by name'
      return issuer.holdsSecret ? undefined : 'it needs no secret'
    },
    async run(subject) {
      const { handle } = await mintGranted(subject)
      const { secret: _lost, providerExpiresAt: _unknown, ...unknownOutcome } = handle
      await assert.rejects(subject.issuer.revoke(unknownOutcome), 'revoke said that it is done')
      assert.equal((await look(subject, unknownOutcome)).proof, 'unknown')
    },
  },
  {
    name: 'no secret prints: not in what is answered, not in a refusal, not in an error',
    async run(subject) {
      const { ownSecrets, issuer, asks } = subject
      assert.ok(ownSecrets.length > 0, 'the subject names no secret of the broker')
      const { grant, issued, secret } = await mintGranted(subject)
      assertHides(issued, [secret, ...ownSecrets], 'what issue answered')
      assertHides(
        await issuer.issue(grantOf(subject, issuer.ask.parse(asks.refused))),
        ownSecrets,
        'a refusal',
      )
      if ('impossible' in subject.provider) return
      subject.provider.goDown()
      assertHides(await unavailable(issuer.issue(grant), 'issue'), ownSecrets, 'an error')
    },
  },
]

async function unavailable(call: Promise<unknown>, what: string): Promise<ProviderUnavailable> {
  const outcome = await call.then(
    value => ({ value }),
    (error: unknown) => ({ error }),
  )
  if (!('error' in outcome)) assert.fail(`${what} answered ${inspect(outcome.value)} in an outage`)
  assert.ok(outcome.error instanceof ProviderUnavailable, `${what} threw ${inspect(outcome.error)}`)
  return outcome.error
}

/** Looks where loggers and crash reports look: JSON, inspection with hidden fields, message, stack, causes. */
function assertHides(value: unknown, secrets: readonly string[], what: string): void {
  const shown = [
    inspect(value, { depth: 12, showHidden: true, maxStringLength: null }),
    inspect(value, { depth: 12, customInspect: false, maxStringLength: null }),
    JSON.stringify(value),
    String(value),
    value instanceof Error ? `${value.stack} ${inspect(value.cause, { depth: 12, showHidden: true })}` : '',
  ].join('\n')
  // A long secret leaks just as well in part: inspection breaks lines, and formats differ.
  for (const secret of secrets) {
    for (const part of [secret, secret.slice(0, 40), secret.slice(-40)]) {
      assert.ok(!shown.includes(part.trim()), `${what} shows a secret`)
    }
  }
}
