/** Rules on asks: the schema, `covers`, `facts`, `resolve`. Nothing is minted but for look-ups. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Phase } from '../../issuers/issuer.ts'
import { grantedAsk, type IssuerCheck, type IssuerSubject, mintOwn, resolved } from './issuer-subject.ts'

const PHASES: readonly Phase[] = ['read', 'propose', 'execute', 'deploy', 'transact']

/** Parsed and frozen, so that a `covers` or `facts` that writes to its arguments throws. */
function parsedAsks({ issuer, asks }: IssuerSubject): fc.Arbitrary<unknown> {
  return asks.any.map(input => deepFreeze(issuer.ask.parse(input)))
}

/** Many at once, so that chains among them are found. */
function poolOf(subject: IssuerSubject): fc.Arbitrary<unknown[]> {
  return fc.array(parsedAsks(subject), { minLength: 12, maxLength: 16 })
}

function pairs(pool: readonly unknown[]): [unknown, unknown][] {
  return pool.flatMap(a => pool.map((b): [unknown, unknown] => [a, b]))
}

export const issuerAskChecks: readonly IssuerCheck[] = [
  {
    name: 'an ask with a key that it does not know is refused',
    async run({ issuer, asks }) {
      for (const input of [asks.granted, asks.refused]) {
        assert.ok(issuer.ask.safeParse(input).success, 'a well-formed ask is accepted')
        const wider = { ...(input as object), unheard_of: true }
        assert.equal(issuer.ask.safeParse(wider).success, false, 'an unknown key was accepted')
      }
    },
  },
  {
    name: 'an ask that is no object is refused, and so is an empty one',
    async run({ issuer }) {
      for (const input of [undefined, null, 'all', 1, [], {}]) {
        assert.equal(issuer.ask.safeParse(input).success, false, `${JSON.stringify(input)} was accepted`)
      }
    },
  },
  {
    name: 'a parsed ask survives the ledger: it goes through JSON unchanged, and parses to itself',
    async run(subject) {
      const property = fc.property(parsedAsks(subject), ask => {
        const stored: unknown = JSON.parse(JSON.stringify(ask))
        assert.deepEqual(stored, ask)
        assert.deepEqual(subject.issuer.ask.parse(stored), ask)
      })
      fc.assert(property)
    },
  },
  {
    name: 'covers is reflexive',
    async run(subject) {
      fc.assert(fc.property(parsedAsks(subject), ask => assert.ok(subject.issuer.covers(ask, ask))))
    },
  },
  {
    name: 'covers is transitive: what is below a ceiling stays below what is above it',
    async run(subject) {
      const { covers } = subject.issuer
      let seen = 0
      const property = fc.property(poolOf(subject), pool => {
        for (const [a, b] of pairs(pool).filter(([a, b]) => covers(a, b))) {
          for (const c of pool.filter(one => covers(b, one))) {
            seen += a !== b && b !== c ? 1 : 0
            assert.ok(covers(a, c), 'a covers b, b covers c, and a does not cover c')
          }
        }
      })
      fc.assert(property)
      assert.ok(seen > 20, `only ${seen} chains among the asks supplied: bring them closer to each other`)
    },
  },
  {
    name: 'covers tells asks apart, and answers the same when asked again',
    async run(subject) {
      const asks = parsedAsks(subject)
      const { covers } = subject.issuer
      let refused = 0
      const property = fc.property(asks, asks, (a, b) => {
        const answer = covers(a, b)
        assert.equal(covers(structuredClone(a), structuredClone(b)), answer)
        if (!answer) refused += 1
      })
      fc.assert(property, { numRuns: 500 })
      assert.ok(refused > 0, 'every ask covered every other')
    },
  },
  {
    name: 'facts never shrink upwards: a ceiling is at least as far-reaching as what it covers',
    async run(subject) {
      const { covers, facts } = subject.issuer
      const property = fc.property(poolOf(subject), pool => {
        for (const [a, b] of pairs(pool).filter(([a, b]) => covers(a, b))) {
          const above = facts(a)
          const below = facts(b)
          assert.ok(PHASES.indexOf(above.phase) >= PHASES.indexOf(below.phase), 'phase grew downwards')
          assert.ok(above.mayLeaveAccess || !below.mayLeaveAccess, 'mayLeaveAccess grew downwards')
        }
      })
      fc.assert(property)
    },
  },
  {
    name: 'facts name a phase and a resource, and are the same when asked again',
    async run(subject) {
      const property = fc.property(parsedAsks(subject), ask => {
        const facts = subject.issuer.facts(ask)
        assert.ok(PHASES.includes(facts.phase), `${facts.phase} is no phase`)
        assert.ok(facts.resources.length > 0, 'no resource is named')
        for (const { type, id, parents } of facts.resources) {
          for (const one of [type, ...parents.map(parent => parent.type)])
            assert.match(one, /^[A-Z][A-Za-z0-9]{0,63}$/, 'the type of a resource is no name')
          assert.notEqual(id, '', 'a resource without an id')
        }
        assert.deepEqual(subject.issuer.facts(structuredClone(ask)), facts)
      })
      fc.assert(property)
    },
  },
  {
    name: 'resolve never widens, leaves nothing alive, and has nothing to add the second time',
    needless: ({ issuer }) => (issuer.resolve ? undefined : 'its asks need no resolving'),
    async run(subject) {
      const asked = subject.issuer.ask.parse(subject.asks.granted)
      const answer = await resolved(subject, asked)
      assert.ok(subject.issuer.covers(asked, answer), 'the resolved ask is wider than the asked one')
      assert.deepEqual(await resolved(subject, answer), answer)
      assert.deepEqual(await grantedAsk(subject), answer)
      if ('impossible' in subject.provider) return
      assert.equal(subject.provider.given().filter(({ alive }) => alive).length, 0)
    },
  },
  {
    name: 'resolve hands on a refusal of its own look-up',
    needless: ({ issuer }) => (issuer.resolve ? undefined : 'its asks need no resolving'),
    async run(subject) {
      const refused = { ok: false, reason: 'not_found', detail: 'no such thing' } as const
      let lookUps = 0
      const answer = await subject.issuer.resolve?.(
        subject.issuer.ask.parse(subject.asks.granted),
        async () => {
          lookUps += 1
          return refused
        },
      )
      // An ask that is already all ids may need no look-up.
      if (lookUps > 0) assert.equal(answer?.ok, false)
      else assert.ok((await mintOwn(subject, await grantedAsk(subject))).ok)
    },
  },
]

function deepFreeze(value: unknown): unknown {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner)
    Object.freeze(value)
  }
  return value
}
