export type KeyringErrorCode =
  | 'kek_missing' // no key-encryption key file, and this ledger already needs one
  | 'kek_readable_by_others' // the file's mode lets a group or everyone read or write it
  | 'secret_missing' // a file that the configuration names for a secret
  | 'secret_readable_by_others' // the same rule as for the key-encryption key
  | 'secret_malformed' // too long to be one
  | 'kek_malformed' // the file is not 64 hexadecimal digits
  | 'kek_wrong' // a good key, but not one that this ledger's root key is sealed under
  | 'kek_rotating' // another rotation is under way, or kek_file is not at the key that stays
  | 'root_wrong' // a sealed value of another ledger, or of one before it was put in this one's place
  | 'canary_missing' // the ledger holds keys but not the canary they were sealed beside, or none yet
  | 'seal_malformed' // not a sealed value of a version this broker knows
  | 'seal_broken' // altered, or moved from another row or column
  | 'field_not_encodable' // a MACed field that is not a string, a finite number or null
  | 'signing_key_altered' // a signing key's row does not carry this broker's MAC
  | 'signing_key_missing' // no key is in the state to sign

/** Keys and sealed values that cannot be trusted or used. Messages never hold key material or plaintext. */
export class KeyringError extends Error {
  override name = 'KeyringError'
  readonly code: KeyringErrorCode
  constructor(code: KeyringErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
