/** The suite is only worth what it catches: deliberately wrong attestors, one per rule, each caught by name. */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  AttestationUnavailable,
  type Attestor,
  type Proof,
  REJECTIONS,
  type Rejection,
  type Verdict,
} from '../../attestors/attestor.ts'
import { githubActions } from '../../attestors/github-actions.ts'
import { createIssuerSubject } from '../attestors/issuer-subject.ts'
import { githubClaims } from '../fakes/identity/github-claims.ts'
import { type AttestorSubject, attestorChecks } from './attestor.ts'
import { textOf } from './attestor-assertions.ts'

const makeSound = () => createIssuerSubject(githubActions, githubClaims())

/** What this attestor has no sample of. */
const IMPOSSIBLE: readonly string[] = [
  ...['subject_not_acceptable', 'certificate_not_acceptable', 'chain_not_trusted', 'revoked'],
]

/** Breaks what `open` (and, unless told otherwise, `openUnreachable`) gives. */
type Break = (sound: Attestor, subject: AttestorSubject) => Attestor

function breakAttest(change: (verdict: Verdict, token: string) => Verdict): Break {
  return sound => ({
    ...sound,
    attest: async evidence => change(await sound.attest(evidence), textOf(evidence)),
  })
}

function breakProof(change: (proof: Proof, token: string) => Proof): Break {
  return breakAttest((verdict, token) =>
    verdict.ok ? { ok: true, proof: change(verdict.proof, token) } : verdict,
  )
}

const withReplay = (change: (replay: Proof['replay'], token: string) => Partial<Proof['replay']>) =>
  breakProof((proof, token) => ({ ...proof, replay: { ...proof.replay, ...change(proof.replay, token) } }))

const withClaims = (claims: Proof['claims']) => breakProof(proof => ({ ...proof, claims }))

/** Takes any spelling for the plain one, and names the use by the spelling. */
const byRawToken: Break = sound => ({
  ...sound,
  async attest(evidence) {
    const token = textOf(evidence)
    const verdict = await sound.attest({ type: 'jwt', token: token.replace(/[\s=.]+$/, '') })
    if (!verdict.ok) return verdict
    const id = createHash('sha256').update(token).digest('hex')
    return { ok: true, proof: { ...verdict.proof, replay: { ...verdict.proof.replay, id } } }
  },
})

const outageAsRejection: Break = sound => ({
  ...sound,
  attest: evidence =>
    sound.attest(evidence).catch(() => ({ ok: false, rejection: 'key_unknown', detail: 'no keys' }) as const),
})

const outageWith = (make: (token: string) => Error): Break => {
  return sound => ({
    ...sound,
    attest: evidence =>
      sound.attest(evidence).catch(() => {
        throw make(textOf(evidence))
      }),
  })
}

const asksFirst: Break = sound => ({
  ...sound,
  async attest(evidence) {
    const verdict = await sound.attest(evidence)
    if (!verdict.ok) throw new AttestationUnavailable('asked before looking')
    return verdict
  },
})

const SOME_PROOF: Proof = {
  issuer: 'https://issuer.test',
  subject: 'somebody',
  claims: {},
  replay: { id: 'some use', singleUse: true, until: 0 },
}

const acceptInstead = (rejection: Rejection) =>
  breakAttest(verdict =>
    !verdict.ok && verdict.rejection === rejection ? { ok: true, proof: SOME_PROOF } : verdict,
  )

const callOtherwise = (rejection: Rejection) => {
  const other: Rejection = rejection === 'expired' ? 'too_old' : 'expired'
  return breakAttest(verdict =>
    !verdict.ok && verdict.rejection === rejection ? { ...verdict, rejection: other } : verdict,
  )
}

function refused(rejection: Rejection): Verdict {
  return { ok: false, rejection, detail: 'refused' }
}

function claimOf(token: string, name: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())[name]
  } catch {
    return undefined
  }
}

const mutants: [rule: string, mistake: string, wrong: Break][] = [
  ['proves acceptable evidence, with typed claims', 'refuses all', breakAttest(() => refused('expired'))],
  [
    'proves acceptable evidence, with typed claims',
    'empty subject',
    breakProof(p => ({ ...p, subject: '' })),
  ],
  [
    'proves acceptable evidence, with typed claims',
    'a claim that is an object',
    withClaims({ pod: { uid: 1 } as unknown as string }), // what the types forbid
  ],
  ['proves acceptable evidence, with typed claims', 'a claim that is infinite', withClaims({ run: 1 / 0 })],
  [
    'proves acceptable evidence, with typed claims',
    'an empty name in mustName',
    breakProof(p => ({ ...p, mustName: [''] })),
  ],
  [
    'puts no evidence into the proof',
    'the token as a claim',
    breakProof((p, token) => ({ ...p, claims: { token } })),
  ],
  [
    'puts no evidence into the proof',
    'the signature as replay id',
    withReplay((_r, token) => ({ id: token.split('.')[2] ?? '' })),
  ],
  [
    'recognises its own trust root only, and throws at nothing',
    'recognises all',
    sound => ({ ...sound, recognises: () => true }),
  ],
  [
    'recognises its own trust root only, and throws at nothing',
    'recognises nothing',
    sound => ({ ...sound, recognises: () => false }),
  ],
  [
    'recognises its own trust root only, and throws at nothing',
    'trips over garbage',
    sound => ({
      ...sound,
      recognises: evidence => JSON.parse(atob(textOf(evidence).split('.')[1] ?? '')) !== null,
    }),
  ],
  ['rejects garbage as a value', 'throws at bad evidence', asksFirst],
  [
    'keeps the evidence out of every detail',
    'quotes the token',
    breakAttest((v, token) => (v.ok ? v : { ...v, detail: `bad token ${token}` })),
  ],
  [
    'keeps the evidence out of every detail',
    'quotes a claim',
    breakAttest((v, token) => (v.ok ? v : { ...v, detail: `not for ${claimOf(token, 'jti')}` })),
  ],
  [
    'looks nowhere for evidence of another trust root',
    'asks before it looks',
    (sound, subject) => ({
      ...sound,
      async attest(evidence) {
        await sound.attest(await subject.acceptable())
        return sound.attest(evidence)
      },
    }),
  ],
  ['throws AttestationUnavailable when it cannot check', 'tells an outage as a rejection', outageAsRejection],
  [
    'throws AttestationUnavailable when it cannot check',
    'throws something else',
    outageWith(() => new Error('ECONNREFUSED')),
  ],
  [
    'throws AttestationUnavailable when it cannot check',
    'quotes the token in the outage',
    outageWith(token => new AttestationUnavailable(`could not check ${token}`)),
  ],
  ['rejects what is bad on its face during an outage too', 'pages for bad evidence', asksFirst],
  [
    'names one use of one evidence, and another of another',
    'one id for all',
    withReplay(() => ({ id: 'constant' })),
  ],
  [
    'names one use of one evidence, and another of another',
    'another id each time',
    (sound => {
      let uses = 0
      return withReplay(() => ({ id: `use ${++uses}` }))(sound, undefined as never)
    }) satisfies Break,
  ],
  [
    'gives every spelling of one evidence one replay id, or refuses it',
    'a replay id by the raw token',
    byRawToken,
  ],
  ['does not accept evidence from `until` on', '`until` is now', withReplay(() => ({ until: 0 }))],
  [
    'does not accept evidence from `until` on',
    '`until` comes too early',
    withReplay(replay => ({ until: replay.until - 100_000 })),
  ],
  [
    'answers the same to many at once',
    'shares a half-made proof',
    (sound => {
      let last: Proof | undefined
      return {
        ...sound,
        async attest(evidence) {
          const verdict = await sound.attest(evidence)
          if (!verdict.ok) return verdict
          const subject = `${last?.subject ?? ''}${verdict.proof.subject}`
          last = verdict.proof
          return { ok: true, proof: { ...verdict.proof, subject } }
        },
      }
    }) satisfies Break,
  ],
  ...REJECTIONS.filter(name => !IMPOSSIBLE.includes(name)).flatMap((rejection): [string, string, Break][] => [
    [`rejects as ${rejection}`, 'accepts it', acceptInstead(rejection)],
    [`rejects as ${rejection}`, 'calls it otherwise', callOtherwise(rejection)],
  ]),
]

describe('the suite catches', () => {
  test.each(mutants)('%s: %s', async (rule, _mistake, wrong) => {
    const subject = await makeSound()
    const broken: AttestorSubject = {
      ...subject,
      open: () => wrong(subject.open(), subject),
      openUnreachable: () => wrong(subject.openUnreachable(), subject),
    }
    try {
      await expect(ruleNamed(rule).run(broken)).rejects.toThrow()
    } finally {
      await subject.close()
    }
  })

  test('an attestor that looks outside when it opens', async () => {
    const subject = await makeSound()
    let callsWhileOpening = 0
    const broken = {
      ...subject,
      open() {
        callsWhileOpening += 1
        return subject.open()
      },
      outsideCalls: () => subject.outsideCalls() + callsWhileOpening,
    }
    await expect(ruleNamed('opens without looking outside').run(broken)).rejects.toThrow('calls')
    await subject.close()
  })

  test('a rejection called impossible without a reason', async () => {
    const subject = await makeSound()
    const samples = { ...subject.samples, expired: { impossible: 'no' } }
    await expect(ruleNamed('rejects as expired').run({ ...subject, samples })).rejects.toThrow('reason')
    await subject.close()
  })

  test('with every rule there is', () => {
    const shown = new Set(mutants.map(([rule]) => rule))
    const elsewhere = ['opens without looking outside', ...IMPOSSIBLE.map(name => `rejects as ${name}`)]
    const rules = attestorChecks.map(({ name }) => name)
    expect(rules.filter(rule => !shown.has(rule))).toEqual(elsewhere)
  })
})

function ruleNamed(name: string) {
  const rule = attestorChecks.find(check => check.name === name)
  if (rule === undefined) throw new Error(`no such rule: ${name}`)
  return rule
}
