/**
 * Sealing, MACs and token hashes at rest, all under keys derived from the ledger's root key. Synchronous on
 * purpose: the order of events does not depend on a thread pool, so a simulation repeats itself.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto'
import type { RootKey } from './kek.ts'
import { KeyringError } from './keyring-error.ts'
import type { RandomBytes } from './random.ts'

/** Where a sealed value belongs. It opens there and nowhere else. */
export type Binding = {
  /** The row's id, unique over the whole ledger. */
  row: string
  /** Table and column: `leases.sealed_secret`. */
  column: string
}

export type MacFields = Readonly<Record<string, string | number | null>>

export interface Keyring {
  readonly rootId: string
  /** AES-256-GCM under a key derived for this row. Text is sealed as UTF-8. */
  seal(plaintext: string | Uint8Array, bind: Binding): Uint8Array
  /** @throws KeyringError seal_malformed, root_wrong, seal_broken */
  open(sealed: Uint8Array, bind: Binding): Uint8Array
  /**
   * `v1.<root key's id>.<64 hex>` over the kind of row and its named fields, in any order.
   * @throws KeyringError field_not_encodable
   */
  mac(kind: string, fields: MacFields): string
  /** Constant time in the MAC's value. False for a MAC of another root key or version. */
  verifyMac(kind: string, fields: MacFields, mac: string): boolean
  /** 64 hex digits: how a token is found again without being stored. */
  tokenHash(token: string): string
}

const version = 1
const rootIdBytes = 8
const nonceBytes = 12
const tagBytes = 16
const headerBytes = 1 + rootIdBytes

/** Sealed form: version (1 byte), root key's id (8), nonce (12), ciphertext, tag (16). */
export function createKeyring({ root, random }: { root: RootKey; random: RandomBytes }): Keyring {
  const header = Buffer.concat([Buffer.from([version]), Buffer.from(root.id, 'hex')])
  const macKey = derive(root, ['mac'])
  const tokenKey = derive(root, ['token'])
  const keyFor = (bind: Binding) => derive(root, ['seal', bind.row])
  const boundTo = (bind: Binding) => encode(['mayfly seal v1', root.id, bind.row, bind.column])
  const mac = (kind: string, fields: MacFields) =>
    `v1.${root.id}.${createHmac('sha256', macKey).update(encodeFields(kind, fields)).digest('hex')}`

  return {
    rootId: root.id,

    seal(plaintext, bind) {
      const nonce = random(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', keyFor(bind), nonce, { authTagLength: tagBytes })
      cipher.setAAD(boundTo(bind))
      const bytes = typeof plaintext === 'string' ? Buffer.from(plaintext, 'utf8') : plaintext
      return Buffer.concat([header, nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
    },

    open(sealed, bind) {
      const { nonce, ciphertext, tag } = split(sealed, root.id)
      const decipher = createDecipheriv('aes-256-gcm', keyFor(bind), nonce, { authTagLength: tagBytes })
      decipher.setAAD(boundTo(bind))
      decipher.setAuthTag(tag)
      try {
        return Buffer.concat([decipher.update(ciphertext), decipher.final()])
      } catch {
        throw new KeyringError('seal_broken', `The sealed value in ${bind.column} is not the one put there.`)
      }
    },

    mac,

    verifyMac(kind, fields, presented) {
      const expected = Buffer.from(mac(kind, fields))
      const given = Buffer.from(presented)
      return given.length === expected.length && timingSafeEqual(given, expected)
    },

    tokenHash: token => createHmac('sha256', tokenKey).update(token, 'utf8').digest('hex'),
  }
}

function split(sealed: Uint8Array, rootId: string) {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
  if (bytes.length < headerBytes + nonceBytes + tagBytes || bytes[0] !== version) {
    throw new KeyringError('seal_malformed', 'Not a sealed value of a version this broker knows.')
  }
  const sealedWith = bytes.toString('hex', 1, headerBytes)
  if (sealedWith !== rootId) {
    throw new KeyringError('root_wrong', `Sealed under key ${sealedWith}; this broker holds ${rootId}.`)
  }
  return {
    nonce: bytes.subarray(headerBytes, headerBytes + nonceBytes),
    ciphertext: bytes.subarray(headerBytes + nonceBytes, -tagBytes),
    tag: bytes.subarray(-tagBytes),
  }
}

/** HKDF-SHA256 (RFC 5869): one independent key per purpose, and per row where the purpose is sealing. */
function derive(root: RootKey, purpose: readonly string[]): KeyObject {
  // A KeyObject: from plain bytes Node makes one at every use, which costs five times the HMAC itself.
  return createSecretKey(
    new Uint8Array(hkdfSync('sha256', root.key, '', encode(['mayfly v1', ...purpose]), 32)),
  )
}

/** A JSON array of strings: no two different lists have the same text. */
function encode(parts: readonly string[]): Buffer {
  return Buffer.from(JSON.stringify(parts), 'utf8')
}

function encodeFields(kind: string, fields: MacFields): string {
  // Sorted without a comparison of ours, which would be called for every pair.
  const entries = Object.keys(fields)
    .sort()
    .map(name => {
      const value = fields[name]
      const encodable = value === null || typeof value === 'string' || Number.isFinite(value)
      if (encodable) return [name, value]
      throw new KeyringError('field_not_encodable', `${kind}.${name} cannot be part of a MAC.`)
    })
  return JSON.stringify(['mayfly mac v1', kind, entries])
}
