/** Every limit of the command line as a client, its unit in its name. The broker has its own. */
const second = 1_000
const kibibyte = 1_024

export const CLI_LIMITS = {
  // One call to the broker; a mint may wait for a provider.
  callMs: 30 * second,
  answerBytes: 4 * kibibyte * kibibyte,
  attempts: 4,
  backoffBaseMs: 250,
  /** The broker takes the same evidence again from 1 s after its first use; nearer is a race. */
  reopenMs: 1.5 * second,
  /** A Retry-After above this is for the caller to wait out. */
  retryAfterMs: 10 * second,

  // Evidence.
  evidenceBytes: 16 * kibibyte,
  oidcRequestMs: 10 * second,
  oidcAnswerBytes: 64 * kibibyte,

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

  /** At once, of the broker; and between two times. */
  waitSeconds: 30,
  waitPollMs: 1 * second,

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

  secretFileBytes: 64 * kibibyte,
  asks: 16,
  leaseRows: 100,
  shownChars: 500,
} as const
