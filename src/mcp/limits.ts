/** Every limit of the MCP server, its unit in its name. The broker and the local server have their own. */
const second = 1_000
const kibibyte = 1_024

export const MCP_LIMITS = {
  /** One message of the client. */
  messageBytes: 1_024 * kibibyte,
  /** Members and elements of one call's arguments. */
  argumentElements: 2_000,

  // Texts of the model, as long as the broker takes them.
  purposeChars: 500,
  reasonChars: 500,
  detailChars: 500,
  idChars: 100,
  nameChars: 200,
  asks: 16,
  repositories: 100,
  statements: 20,
  listed: 100,
  minutes: 24 * 60,

  /** Many clients give up on a call after 60 seconds. */
  waitSeconds: 45,
  longestWaitSeconds: 600,
  progressMs: 5 * second,

  /** How long the end of a task is watched, so that what was revoked can be told. */
  settleMs: 10 * second,
  settlePollMs: 200,

  /** Refusals that why_not still knows. */
  refusals: 50,
  shownChars: 1_000,
  /** What is said to a human who signs in: an address is long. */
  saidChars: 4_000,
} as const
