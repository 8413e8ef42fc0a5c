/** How humans come to be operators here: who vouches for them, what their groups may do, what takes two of them. */

import type { OperatedOn, Operator, OperatorAction } from './operator.ts'
import type { HumanVerifier } from './operator-identity.ts'

export type People = {
  /** Whether operator tokens are taken. Off: humans sign in, and what works offline goes on working. */
  bootstrapTokens: boolean
  /** Absent: no identity provider for operators is configured. */
  signIn?: SignIn
  roles: Roles
  dualControl: DualControl
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
  approver_groups: boolean
  keys: boolean
}

/** Humans may do nothing. */
export const noRoles: Roles = {
  hash: () => 'none',
  judge: async () => ({ allowed: false, determining: [] }),
}

export const noPeople: People = {
  bootstrapTokens: true,
  roles: noRoles,
  dualControl: { policies: false, approver_groups: false, keys: false },
}
