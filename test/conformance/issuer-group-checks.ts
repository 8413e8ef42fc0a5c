/** Rules for issuers that end many credentials by one document. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type KeepOthers, type LeaseHandle, ProviderUnavailable } from '../../issuers/issuer.ts'
import {
  end,
  endExactly,
  type IssuerCheck,
  type IssuerSubject,
  memberOf,
  mintGranted,
  providerOf,
  withoutProvider,
} from './issuer-subject.ts'

const alone = ({ issuer }: IssuerSubject) =>
  issuer.group || issuer.revokeGroup ? undefined : 'it ends each credential alone'

function grouped({ issuer }: IssuerSubject) {
  const { group, revokeGroup } = issuer
  if (!group || !revokeGroup) throw new Error('it ends each credential alone')
  return { group, revokeGroup }
}

const withUse = async (subject: IssuerSubject, secrets: readonly string[]) =>
  Promise.all(secrets.map(secret => subject.use(secret)))

export const issuerGroupChecks: readonly IssuerCheck[] = [
  {
    name: 'group and revokeGroup come together, and a group is named alike for an ask and its copy',
    needless: alone,
    async run(subject) {
      const { group } = grouped(subject)
      assert.notEqual(subject.issuer.revocability, 'expiry_only')
      const property = fc.property(subject.asks.any, input => {
        const ask = subject.issuer.ask.parse(input)
        const name = group(ask)
        assert.ok(name.length > 0, 'a group without a name')
        assert.equal(group(JSON.parse(JSON.stringify(ask))), name)
      })
      fc.assert(property)
      const { grant, issued } = await mintGranted(subject)
      assert.equal(group(issued.granted), group(grant.ask), 'what was granted is in another group')
    },
  },
  {
    name: 'a group ends whoever is named and nobody else, and lets go of whoever is not named any more',
    needless: alone,
    async run(subject) {
      const { revokeGroup, group } = grouped(subject)
      const [a, b, c] = [await mintGranted(subject), await mintGranted(subject), await mintGranted(subject)]
      const secrets = [a.secret, b.secret, c.secret]
      await endExactly(subject, [a.handle, b.handle])
      assert.deepEqual(await withUse(subject, secrets), ['refused', 'refused', 'accepted'])
      await endExactly(subject, [b.handle, c.handle])
      assert.deepEqual(await withUse(subject, secrets), ['accepted', 'refused', 'refused'])
      const nobody = await revokeGroup(group(a.grant.ask), [], subject.now() + 60_000)
      assert.deepEqual(nobody.left, [])
      assert.deepEqual(await withUse(subject, secrets), ['accepted', 'accepted', 'accepted'])
    },
  },
  {
    name: 'others that are to be kept, and they alone, stay ended until they are let go of again',
    needless: alone,
    async run(subject) {
      const [a, b, c] = [await mintGranted(subject), await mintGranted(subject), await mintGranted(subject)]
      const secrets = [a.secret, b.secret, c.secret]
      const asked: string[][] = []
      const keeping =
        (...handles: LeaseHandle[]): KeepOthers =>
        async leases => {
          asked.push([...leases])
          const kept = handles.filter(({ lease }) => leases.includes(lease))
          return kept.map(({ lease }) => ({ lease, issuedBy: subject.now() }))
        }
      await endExactly(subject, [a.handle])
      await endExactly(subject, [b.handle], keeping(a.handle))
      assert.deepEqual(await withUse(subject, secrets), ['refused', 'refused', 'accepted'])
      const { revokeGroup, group } = grouped(subject)
      const keep = keeping(b.handle)
      const nobody = await revokeGroup(group(a.grant.ask), [], subject.now() + 60_000, keep)
      assert.deepEqual(nobody.left, [])
      assert.deepEqual(await withUse(subject, secrets), ['accepted', 'refused', 'accepted'])
      const whom = asked.map(leases => [...leases].sort())
      assert.deepEqual(whom, [[a.handle.lease], [a.handle.lease, b.handle.lease].sort()])
      await endExactly(subject, [c.handle])
      assert.deepEqual(await withUse(subject, secrets), ['accepted', 'accepted', 'refused'])
    },
  },
  {
    name: 'a member is ended by its name alone, without its secret and before its mint is known',
    needless: alone,
    async run(subject) {
      const { handle, secret } = await mintGranted(subject)
      const { secret: _, providerExpiresAt: __, ...named } = handle
      await end(subject, named)
      assert.equal(await subject.use(secret), 'refused')
    },
  },
  {
    name: 'a document that someone else changed is written again',
    needless: subject =>
      alone(subject) ??
      withoutProvider(subject) ??
      (providerOf(subject).spoilGroup ? undefined : 'nobody else can change it'),
    async run(subject) {
      const { handle, secret, grant } = await mintGranted(subject)
      await end(subject, handle)
      await providerOf(subject).spoilGroup?.(grouped(subject).group(grant.ask))
      assert.equal(await subject.use(secret), 'accepted', 'the subject did not change the document')
      await end(subject, handle)
      assert.equal(await subject.use(secret), 'refused', 'the change stands')
    },
  },
  {
    name: 'a group is not written after its time: it throws, and everything stays as it was',
    needless: subject => alone(subject) ?? withoutProvider(subject),
    async run(subject) {
      const { group, revokeGroup } = grouped(subject)
      const { handle, secret, grant } = await mintGranted(subject)
      const late = revokeGroup(group(grant.ask), [memberOf(handle, subject.now())], subject.now() - 1)
      await assert.rejects(late, ProviderUnavailable)
      assert.equal(await subject.use(secret), 'accepted')
    },
  },
  {
    name: 'a group while the provider is down throws ProviderUnavailable, and nobody is called ended',
    needless: subject => alone(subject) ?? withoutProvider(subject),
    async run(subject) {
      const { handle, secret } = await mintGranted(subject)
      providerOf(subject).goDown()
      await assert.rejects(end(subject, handle), ProviderUnavailable)
      providerOf(subject).recover()
      await end(subject, handle)
      assert.equal(await subject.use(secret), 'refused')
    },
  },
]
