/** Every limit of the command line as a client, its unit in its name. The broker has its own. */
import { CLIENT_LIMITS } from '../client/limits.ts'

const second = 1_000
const kibibyte = 1_024

export const CLI_LIMITS = {
  // Of every call, of evidence and of waiting for humans.
  ...CLIENT_LIMITS,
  /** One statement about where this runs; a request with all of them has 64 KiB. */
  statementBytes: 48 * kibibyte,

  // A human who signs in. As long as the broker takes a fresh sign-in.
  signInMs: 5 * 60 * second,
  deviceSignInMs: 15 * 60 * second,

  // Waiting for the end.
  settleMs: 10 * second,
  settlePollMs: 100,
  graceSeconds: 10,
  heartbeatSeconds: 60,
  /** How long an offline revocation keeps trying. */
  offlineSeconds: 60,
  offlinePollMs: 100,
  /** How long `mayfly revoke` watches what it began. */
  revokeWatchSeconds: 60,
  revokePollMs: 250,

  /** An AWS session with less life left is replaced; half of its life where that is less. */
  awsLeftMs: 10 * 60 * second,
  lockPollMs: 50,

  /** How long exec and token wait for humans. */
  answerSeconds: 600,
  /** One look of such a wait, so that a signal ends it soon. */
  waitLookSeconds: 5,

  /** Longer than the broker gives a drill. */
  drillMs: 11 * 60 * second,
  drillPollMs: 250,

  providerLogBytes: 64 * kibibyte * kibibyte,
  /** Of an agent, that are joined with a provider's log. */
  joinedLeases: 20_000,
  buildFileBytes: 16 * kibibyte * kibibyte,
  reviewDays: 30,
  /** One file of `mayfly apply`; the broker takes no more. */
  registryFileBytes: 512 * kibibyte,
  /** In one question, whether the broker knows them. */
  recognisedItems: 500,

  /** What git asks of a credential helper. A line is as long as git-credential(1) allows. */
  gitLineBytes: 65_535,
  gitLines: 256,
  gitRequestBytes: 1_024 * kibibyte,

  // Looking for secrets.
  leakedBytes: 64 * kibibyte,
  leakedCandidates: 32,
  scannedFiles: 200_000,
  scannedFileBytes: 256 * kibibyte * kibibyte,
  scannedDiffBytes: 128 * kibibyte * kibibyte,
  /** Refs of before a command, whose commits are not looked at again. */
  scannedRefs: 2_000,
  /** What was not looked at, that is named. */
  scanSkipped: 100,

  /** What git and AWS are configured with, and how long a socket is looked at. */
  settingsBytes: 1_024 * kibibyte,
  socketLookMs: 2 * second,

  /** Trust policies of octo-sts: folders that are looked into, and files. */
  importFolders: 2_000,
  importFiles: 2_000,

  secretFileBytes: 64 * kibibyte,
  asks: 16,
  leaseRows: 100,
} as const
