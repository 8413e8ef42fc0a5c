/** Every limit of the client, its unit in its name. The broker has its own. */
const second = 1_000
const kibibyte = 1_024

export const CLIENT_LIMITS = {
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

  // Waiting for humans: at once, of the broker; and between two times.
  waitSeconds: 30,
  waitPollMs: 1 * second,

  /** A credential with less life left than this is replaced before it is handed out. */
  leftMs: 60 * second,
  receiptWaitMs: 10 * second,
  receiptPollMs: 250,
  shownChars: 500,
} as const
