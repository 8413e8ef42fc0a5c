/**
 * The ES256 keys that sign for one purpose: sealed in the ledger, their rows MACed, two always published (the
 * one that signs and the next one), so that every verifier has a key in its cache before its first use. What
 * is signed for one purpose never verifies for another: each has keys of its own.
 *
 *   next --(published long enough, signing key old enough)--> signing --> published --> retired
 *
 * The ledger decides; what is held here is a copy that `refresh` brings up to date.
 */
import { record } from '../audit/record.ts'
import { LIMITS } from '../limits.ts'
import type { Ledger, LedgerRead, LedgerWrite } from '../store/ledger.ts'
import type { SigningKeyRow } from '../store/rows.ts'
import { es256, type PrivateJwk, type SignatureScheme, type SigningKey } from './es256.ts'
import { type JwtContent, signJwt, verifyJwt } from './jws.ts'
import type { Keyring } from './keyring.ts'
import { KeyringError } from './keyring-error.ts'
import type { RandomBytes } from './random.ts'
import { openSigningKeyRow, thumbprint, toSigningKeyRow } from './signing-key-row.ts'

export type Rotation = {
  /** A key signs for this long. */
  rotateAfterMs: number
  /** A next key has been published this long before it signs. */
  publishAheadMs: number
  /** How long what these keys signed must stay verifiable: so long a superseded key stays published. */
  longestTokenMs: number
}

export type PublicKey = {
  kty: 'EC'
  crv: 'P-256'
  x: string
  y: string
  kid: string
  alg: string
  use: 'sig'
}

export interface SigningKeys {
  /** Reads the keys; on a ledger that never had any, makes the first signing key and a next one. */
  ensure(): Promise<void>
  /** Reads the keys again. @throws KeyringError signing_key_altered, seal_broken; LedgerUnavailable */
  refresh(): Promise<void>
  /**
   * Does what is due: retires keys whose last token is past, and moves next to signing. Of brokers that
   * rotate at once, one does. @returns whether this call put a new key to signing
   */
  rotate(): Promise<boolean>
  /** Compact JWS with `alg`, `typ` and `kid` set here. @throws KeyringError signing_key_missing */
  sign(typ: string, claims: Readonly<Record<string, unknown>>): Promise<string>
  /** Header `typ` and claims of a JWT that a key still published signed; times and audience are the caller's to check. */
  verify(jwt: string): JwtContent | undefined
  /** RFC 7517 section 5. */
  jwks(): { keys: PublicKey[] }
}

type HeldKey = { row: SigningKeyRow; key: SigningKey; jwk: PublicKey }

export type KeyPurpose = SigningKeyRow['purpose']

export function createSigningKeys(deps: {
  ledger: { read: Pick<LedgerRead, 'signingKeys' | 'meta'>; write: Ledger['write']; now: Ledger['now'] }
  keyring: Keyring
  random: RandomBytes
  rotation: Rotation
  purpose: KeyPurpose
  scheme?: SignatureScheme
}): SigningKeys {
  const { ledger, keyring, random, rotation, purpose, scheme = es256 } = deps
  const BROKER = { actor: 'broker' }
  const firstKeyMeta = `signing-keys.${purpose}.first`
  let held: readonly HeldKey[] = []
  const inState = (state: SigningKeyRow['state']) => held.find(({ row }) => row.state === state)

  async function refresh(): Promise<void> {
    const rows = await ledger.read.signingKeys(purpose)
    held = rows.filter(row => row.state !== 'retired').map(row => hold(row, held))
  }

  function hold(row: SigningKeyRow, known: readonly HeldKey[]): HeldKey {
    const same = known.find(other => other.row.kid === row.kid && other.row.mac === row.mac)
    const jwk = openSigningKeyRow(row, keyring)
    if (same !== undefined) return { ...same, row }
    const { kty, crv, x, y } = jwk
    return {
      row,
      key: scheme.open(jwk),
      jwk: { kty, crv, x, y, kid: row.kid, alg: scheme.alg, use: 'sig' },
    }
  }

  async function ensure(): Promise<void> {
    await refresh()
    if (held.length === 0) await createFirst()
    if (inState('signing') === undefined) throw missing(purpose)
  }

  /** The meta key settles which of several brokers' first keys stand; the others' are never written. */
  async function createFirst(): Promise<void> {
    const [first, second] = [scheme.generate(random), scheme.generate(random)]
    await ledger.write(async tx => {
      const standing = await tx.initMeta(firstKeyMeta, thumbprint(first))
      if (standing !== thumbprint(first)) return
      await insert(tx, seal(first, tx.now, 'signing'))
      await insert(tx, seal(second, tx.now, 'next'))
    })
    await refresh()
  }

  async function insert(tx: LedgerWrite, row: SigningKeyRow): Promise<void> {
    await tx.insertSigningKey(row)
    await record(tx, 'signing_key.created', BROKER, { kid: row.kid, purpose, state: row.state })
  }

  async function move(
    tx: LedgerWrite,
    kid: string,
    from: SigningKeyRow['state'],
    to: Parameters<LedgerWrite['moveSigningKey']>[2],
  ): Promise<boolean> {
    const moved = await tx.moveSigningKey(kid, from, to)
    if (moved) await record(tx, 'signing_key.moved', BROKER, { kid, purpose, from, to: to.state })
    return moved
  }

  function seal(jwk: PrivateJwk, createdAt: number, state: 'next' | 'signing'): SigningKeyRow {
    return toSigningKeyRow(jwk, { purpose, createdAt, state }, keyring)
  }

  async function rotate(): Promise<boolean> {
    await refresh()
    const now = await ledger.now()
    const [signing, next] = [inState('signing'), inState('next')]
    const expired = held.filter(({ row }) => row.state === 'published' && (row.retire_at ?? 0) <= now)
    const due =
      signing !== undefined &&
      next !== undefined &&
      (signing.row.signing_from ?? signing.row.created_at) + rotation.rotateAfterMs <= now &&
      next.row.created_at + rotation.publishAheadMs <= now
    if (!due && expired.length === 0) return false

    const fresh = due ? scheme.generate(random) : undefined
    const rotated = await ledger.write(async tx => {
      for (const { row } of expired) await move(tx, row.kid, 'published', { state: 'retired' })
      if (fresh === undefined || signing === undefined || next === undefined) return false
      // The gate: of two brokers, one finds the key still in `next`.
      const won = await move(tx, next.row.kid, 'next', { state: 'signing', signing_from: tx.now })
      if (!won) return false
      await move(tx, signing.row.kid, 'signing', {
        state: 'published',
        superseded_at: tx.now,
        retire_at: tx.now + overlapMs(rotation),
      })
      await insert(tx, seal(fresh, tx.now, 'next'))
      return true
    })
    await refresh()
    return rotated
  }

  return {
    ensure,
    refresh,
    rotate,
    async sign(typ, claims) {
      const signing = inState('signing')
      if (signing === undefined) throw missing(purpose)
      return signJwt({ alg: scheme.alg, typ, kid: signing.row.kid }, claims, signing.key)
    },
    verify: jwt => verifyJwt(jwt, scheme.alg, kid => held.find(({ row }) => row.kid === kid)?.key),
    jwks: () => ({ keys: held.map(({ jwk }) => jwk) }),
  }
}

/** Another broker may sign with the superseded key until it refreshes; verifiers' clocks may be behind. */
function overlapMs({ longestTokenMs }: Rotation): number {
  return longestTokenMs + LIMITS.signingKeyRefreshMs + LIMITS.clockSkewMs
}

function missing(purpose: KeyPurpose): KeyringError {
  return new KeyringError(
    'signing_key_missing',
    `The ledger holds no key in the state to sign (${purpose}). It had one once: restore the ledger.`,
  )
}
