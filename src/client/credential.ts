import type { CredentialAnswer, Detail, Details } from './answers.ts'
import { type Ask, type CredentialValue, demandForm } from './asks.ts'

const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom')

/** A credential that cannot print: string, JSON and inspection show `[secret]`, and `reveal()` what it is. */
export class Credential<A extends Ask = Ask> {
  /** Its id in the ledger, the audit log and the receipt. */
  readonly lease: string
  /** The id of the ask it was minted for. */
  readonly ask: string
  readonly issuer: string
  /** What was granted. */
  readonly authorizationDetails: Detail
  /** How it ends: `immediate`, `propagating`, `introspected` or `expiry_only`. */
  readonly revocability: string
  /** When Mayfly revokes it at the latest. */
  readonly expiresAt: Date
  /** When the provider would. */
  readonly providerExpiresAt: Date
  /** Plain facts that its issuer tells of it: `installation_id`, `account`. */
  readonly details: Details
  readonly #value: CredentialValue<A>

  /** @throws MayflyError `answer_unexpected` where it is not of the form that the ask's builder promises */
  constructor(ask: A, answer: CredentialAnswer) {
    this.lease = answer.lease
    this.ask = answer.ask
    this.issuer = answer.issuer
    this.authorizationDetails = answer.authorizationDetails
    this.revocability = answer.revocability
    this.expiresAt = answer.expiresAt
    this.providerExpiresAt = answer.providerExpiresAt
    this.details = answer.details
    this.#value = demandForm(ask, answer.credential)
  }
  /** Call it where the value leaves on purpose, and nowhere else. */
  reveal(): CredentialValue<A> {
    return this.#value
  }
  toString(): string {
    return '[secret]'
  }
  toJSON(): string {
    return '[secret]'
  }
  [INSPECT](): string {
    return '[secret]'
  }
}
