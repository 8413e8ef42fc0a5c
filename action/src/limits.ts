/** Every limit of the action, its unit in its name. The client and the broker have their own. */
const second = 1_000

export const ACTION_LIMITS = {
  /** How long a broker that does not answer is asked again, all told. */
  outageMs: 60 * second,
  outagePauseMs: 5 * second,
  /** How long humans are waited for, unless `wait-for-approval` says. */
  approvalSeconds: 600,
  approvalMaxSeconds: 6 * 60 * 60,

  /** Of a command: the agreed silence, and the time between SIGTERM and SIGKILL. */
  heartbeatSeconds: 60,
  graceMs: 10 * second,

  /** How long the end of a task is watched for what the provider ends at once. */
  settleMs: 5 * second,
  settlePollMs: 250,

  /** The broker takes no more. */
  purposeChars: 500,
  asks: 16,
  shownChars: 500,
  maskedChars: 4,
} as const
