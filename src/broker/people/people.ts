/** How humans come to be operators here: who vouches for them, what their groups may do, what takes two of them. */
import type { Secret } from '../../../issuers/shared/secret.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { OperatedOn, Operator, OperatorAction } from './operator.ts'
import type { HumanVerifier } from './operator-identity.ts'

export type People = {
  /** Whether operator tokens are taken. Off: humans sign in, and what works offline goes on working. */
  bootstrapTokens: boolean
  /** Absent: no identity provider for operators is configured. */
  signIn?: SignIn
  roles: Roles
  /** Groups of humans who are of this team, or of the namespace of this agent, by the settings. */
  owning?(agent: string, team: string): readonly string[]
  dualControl: DualControl
  /** How each kind is put in force that the API can change. */
  executors?: { [Kind in keyof DualControl]?: ChangeExecutor }
}

/** The identity provider, as a command line needs to know it, and what verifies its ID tokens. */
export type SignIn = {
  issuer: string
  clientId: string
  scopes: readonly string[]
  /** Ports of the loopback redirect, tried in order; any free one where there are none. */
  redirectPorts: readonly number[]
  /** Values of `acr`, one of which a fresh sign-in must carry; any where there are none. */
  freshAcrValues: readonly string[]
  /** Whether a session may come from a device flow (RFC 8628), which carries no nonce. */
  deviceFlow: boolean
  maxSessionMs: number
  verify: HumanVerifier
}

export type RoleRequest = {
  operator: Pick<Operator, 'id' | 'groups'>
  action: OperatorAction
  on: OperatedOn
}

/** Judges by the role policies in force. Never an allow that comes from an error. */
export type Roles = {
  /** SHA-256 (hex) of the set. */
  hash(): string
  /** `determining`: ids of the policies that decided it. */
  judge(request: RoleRequest): Promise<{ allowed: boolean; determining: readonly string[] }>
}

/** What takes a second human when it is changed through the API. */
export type DualControl = {
  policies: boolean
  /** Secrets of issuers and attestors, and what is registered with them. */
  keys: boolean
}

/** How a change that two humans have agreed to is put in force. */
export type ChangeExecutor = {
  /**
   * In one transaction of its own, in which it calls `decide` before it changes anything: the agreement and the
   * change are one. It judges the document by what is in force now.
   *
   * @param document as it was proposed, and `secret` with it. @throws BrokerError where it can no longer be applied: nothing is decided
   */
  apply(
    document: unknown,
    by: { operator: Operator; reason: string; secret: Secret | undefined },
    decide: (tx: LedgerWrite) => Promise<void>,
  ): Promise<void>
}

/** Humans may do nothing. */
export const noRoles: Roles = {
  hash: () => 'none',
  judge: async () => ({ allowed: false, determining: [] }),
}

export const noPeople: People = {
  bootstrapTokens: true,
  roles: noRoles,
  dualControl: { policies: false, keys: false },
}
