/** Where the helper has its credentials from: a task's file, or the local credential server. */
import type { Secret } from '../../issuers/shared/secret.ts'
import type { GitTarget } from '../sidecar/git-repository.ts'

/**
 * `foreign`: nothing of the task is for that host, and git may ask somebody else. `refused`: it is, and there is
 * no credential; the message says why and what to do. `note`: for whoever reads git's errors, beside a credential.
 */
export type GitAnswer =
  | { kind: 'credential'; token: Secret; expiresAt: number; note?: string }
  | { kind: 'foreign' }
  | { kind: 'refused'; message: string }

export type CredentialSource = {
  /** @throws CommandError, SidecarError where it is not known whether the host is one of the task's */
  get(target: GitTarget): Promise<GitAnswer>
  /**
   * The provider refuses a password. Where it is a token of ours that goes on living, it is given back.
   * @param sha256 of it, hex: another helper's password is known by nothing here
   */
  rejected(target: GitTarget, sha256: string): Promise<void>
}
