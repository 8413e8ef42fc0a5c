/** Tokens that begin as good ones and are changed a little, as text: what JSON.stringify would never write, too. */
import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import type { Forger } from '../fakes/identity/forger.ts'
import {
  ALGS,
  HEADERS,
  KIDS,
  MARKS,
  NEAR,
  ODD_NAMES,
  RAW,
  REGISTERED,
  SPELLINGS,
  WRAPS,
} from './fuzz-material.ts'

/**
 * Who may sign. `good` and `second` are published, `other` too, for another algorithm; `weak` is published and must
 * not count; `double` shares its name with another key; `twin` goes by the name of the good one.
 */
export type Signers = Readonly<Record<'good' | 'second' | 'other' | 'weak' | 'double' | 'twin', Forger>>

/** Members as they are written, in order: names and values as JSON text. */
type Members = [name: string, value: string][]
type Draft = {
  header: Members
  payload: Members
  signer: keyof Signers | 'hmac' | 'none'
  /** Laid around the members, for white space and marks. */
  around: (json: string) => string | Uint8Array
  after: ((token: string) => string)[]
}
export type Change = { does: (draft: Draft) => void; toString(): string }

/** Changes that leave a good token good, and such that may not. */
export function changes(subject: { names: readonly string[]; subjects: readonly string[]; nowS: number }) {
  const name = fc.constantFrom(...subject.names, ...REGISTERED)
  const raw = fc.oneof(fc.constantFrom(...RAW), fc.json({ maxDepth: 2 }))
  const member = fc.oneof(
    name.map(quoted),
    fc.constantFrom(...HEADERS.map(quoted)),
    fc.constantFrom(...ODD_NAMES),
  )
  const part = fc.constantFrom('payload', 'payload', 'payload', 'header') as fc.Arbitrary<
    'payload' | 'header'
  >
  const make = (label: string, does: Change['does']): Change => ({ does, toString: () => label })
  // Around the leeway, around the caps, and far off.
  const seconds = fc.oneof(fc.integer({ min: -400, max: 400 }), fc.integer({ min: -4_000, max: 8_000 }))
  const harmless = fc.oneof(
    fc
      .tuple(fc.string({ minLength: 3 }), raw)
      .map(([claim, value]) =>
        make(`add x-${claim}`, draft => draft.payload.push([JSON.stringify(`x-${claim}`), value])),
      ),
    fc
      .constantFrom(' ', '\n', '\t\r\n')
      .map(space => make('space', draft => surround(draft, json => space + json + space))),
    name.map(claim => make(`escape ${claim}`, draft => rename(draft.payload, claim, escaped(claim)))),
    fc.constant(make('by second, by its name', draft => signAs(draft, 'second'))),
    fc.constant(make('aud as a list', draft => replace(draft.payload, 'aud', value => `[${value}]`))),
    fc
      .integer({ min: -40, max: 40 })
      .map(s => make(`iat ${s}`, draft => replace(draft.payload, 'iat', () => `${subject.nowS + s}`))),
    fc
      .constantFrom('e0', '.0', '.000E+0')
      .map(tail => make(`exp ${tail}`, draft => replace(draft.payload, 'exp', value => value + tail))),
  )
  const hostile = fc.oneof(
    fc.tuple(part, member).map(([at, key]) => make(`drop ${at} ${key}`, draft => drop(draft[at], key))),
    fc
      .tuple(part, member, raw)
      .map(([at, key, value]) => make(`set ${at} ${key} ${value}`, draft => set(draft[at], key, value))),
    fc
      .tuple(part, member, raw, fc.boolean())
      .map(([at, key, value, first]) =>
        make(`twice ${at} ${key}`, draft => void draft[at][first ? 'unshift' : 'push']([key, value])),
      ),
    fc
      .tuple(name, fc.constantFrom(...WRAPS))
      .map(([claim, wrap]) => make(`wrap ${claim}`, draft => replace(draft.payload, claim, wrap))),
    fc
      .tuple(fc.constantFrom('exp', 'iat', 'nbf'), seconds)
      .map(([claim, s]) =>
        make(`${claim} ${s}`, draft => set(draft.payload, quoted(claim), `${subject.nowS + s}`)),
      ),
    seconds.map(s =>
      make(`all times ${s}`, draft => {
        for (const claim of ['exp', 'iat', 'nbf'])
          replace(draft.payload, claim, value => `${Number(value) + s}`)
      }),
    ),
    fc
      .tuple(
        fc.constantFrom('exp', 'iat', 'nbf'),
        fc.constantFrom('.5', '.0000001', 'e1', 'e-1', 'e400', 'n', '"'),
      )
      .map(([claim, tail]) =>
        make(`${claim} ${tail}`, draft => replace(draft.payload, claim, value => value + tail)),
      ),
    fc
      .tuple(fc.constantFrom('iss', 'aud'), fc.constantFrom(...NEAR))
      .map(([claim, near]) =>
        make(`near ${claim}`, draft =>
          replace(draft.payload, claim, value => JSON.stringify(near(JSON.parse(value)))),
        ),
      ),
    fc
      .constantFrom(...subject.subjects)
      .map(sub => make(`sub ${sub.slice(0, 40)}`, draft => set(draft.payload, '"sub"', JSON.stringify(sub)))),
    fc
      .constantFrom('weak', 'double', 'twin', 'second', 'other', 'hmac', 'none')
      .map(by => make(`by ${by}`, draft => Object.assign(draft, { signer: by }))),
    fc
      .constantFrom('weak' as const, 'double' as const, 'other' as const)
      .map(by => make(`by ${by}, by its name`, draft => signAs(draft, by))),
    fc.constantFrom(...KIDS).map(kid => make(`kid ${kid}`, draft => set(draft.header, '"kid"', kid))),
    fc.constantFrom(...ALGS).map(alg => make(`alg ${alg}`, draft => set(draft.header, '"alg"', alg))),
    fc.constantFrom(...MARKS).map(around => make('marks', draft => surround(draft, around))),
    fc
      .tuple(fc.constantFrom(...SPELLINGS), fc.nat())
      .map(([spell, n]) => make(`spell ${n}`, draft => void draft.after.push(token => spell(token, n)))),
  )
  return fc.array(fc.oneof({ arbitrary: harmless, weight: 1 }, { arbitrary: hostile, weight: 1 }), {
    maxLength: 3,
  })
}

/** @param claims the whole payload */
export function buildToken(
  signers: Signers,
  {
    algorithm,
    kid,
    typ = 'JWT',
    claims,
  }: { algorithm: string; kid: string; typ?: string | undefined; claims: Record<string, unknown> },
  wanted: readonly Change[],
): string {
  const draft: Draft = {
    header: membersOf({ alg: algorithm, kid, typ }),
    payload: membersOf(claims),
    ...{ signer: 'good', around: json => json, after: [] },
  }
  for (const change of wanted) change.does(draft)
  const [header, payload] = [jsonOf(draft.header), draft.around(jsonOf(draft.payload))]
  return draft.after.reduce((token, spell) => spell(token), sign(signers, draft.signer, header, payload))
}

function sign(
  signers: Signers,
  signer: Draft['signer'],
  header: string,
  payload: string | Uint8Array,
): string {
  if (signer !== 'hmac' && signer !== 'none') return signers[signer].token(payload, header)
  const input = `${Buffer.from(header).toString('base64url')}.${Buffer.from(payload as string).toString('base64url')}`
  if (signer === 'none') return `${input}.`
  const secret = signers.good.key.publicKey.export({ format: 'pem', type: 'spki' })
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

const quoted = (text: string) => JSON.stringify(text)
const membersOf = (object: Record<string, unknown>): Members =>
  Object.entries(object).map(([name, value]) => [quoted(name), JSON.stringify(value)])
const jsonOf = (members: Members) => `{${members.map(([name, value]) => `${name}:${value}`).join(',')}}`

function find(members: Members, key: string): Members[number] | undefined {
  return members.find(([name]) => name === key)
}
function set(members: Members, key: string, value: string): void {
  const found = find(members, key)
  if (found === undefined) members.push([key, value])
  else found[1] = value
}
function replace(members: Members, name: string, change: (value: string) => string): void {
  const found = find(members, quoted(name))
  if (found !== undefined) found[1] = safely(change, found[1])
}
function rename(members: Members, name: string, key: string): void {
  const found = find(members, quoted(name))
  if (found !== undefined) found[0] = key
}
function drop(members: Members, key: string): void {
  const index = members.findIndex(([name]) => name === key)
  if (index >= 0) members.splice(index, 1)
}
function signAs(draft: Draft, signer: keyof Signers): void {
  draft.signer = signer
  set(draft.header, '"kid"', quoted(signer))
}
function surround(draft: Draft, around: Draft['around']): void {
  draft.around = around
}
/** What an earlier change made of it may be no text any more. */
function safely(change: (value: string) => string, value: string): string {
  try {
    return change(value)
  } catch {
    return value
  }
}
const escaped = (text: string) =>
  `"${[...text].map(character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
