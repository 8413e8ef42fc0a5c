/** `mayfly/client`. */
// biome-ignore-start lint/performance/noBarrelFile: this is the package's entry, and nothing of ours imports it.
export type {
  Approval,
  AskState,
  Detail,
  Details,
  Lease,
  TaskState,
  TaskStatus,
} from './answers.ts'
export {
  type Ask,
  type AwsAsk,
  type AwsSession,
  aws,
  type CredentialValue,
  github,
  jwt,
  type TokenAsk,
} from './asks.ts'
export type { BoundKeyPair } from './bound-key.ts'
export type { Credential } from './credential.ts'
export {
  type EvidenceSource,
  type EvidenceWanted,
  fromClientCertificate,
  fromFile,
  fromGithubActions,
  type Presented,
  type TokenSource,
} from './evidence.ts'
export { createMayfly, type Mayfly, type MayflyOptions, type TaskOptions } from './mayfly.ts'
export { isDenied, isPending, isUnavailable, MayflyError, type Problem } from './mayfly-error.ts'
export { type PostureSource, type Statement, statementFrom } from './posture.ts'
export type { EndOptions, Task, TaskAsk, TaskAsks } from './task.ts'
// biome-ignore-end lint/performance/noBarrelFile: this is the package's entry, and nothing of ours imports it.
