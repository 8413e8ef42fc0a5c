/** Every limit of the local credential server and of those who call it, its unit in its name. */
const second = 1_000
const minute = 60 * second
const kibibyte = 1_024

export const SIDECAR_LIMITS = {
  // What is taken from a process of this machine.
  requestBytes: 64 * kibibyte,
  answerBytes: 1_024 * kibibyte,
  headerBytes: 16 * kibibyte,
  headers: 64,
  connections: 128,
  requestMs: 10 * second,
  idleMs: 5 * second,
  textChars: 2_000,
  asks: 16,
  tasks: 64,

  /** One call to it: a mint may wait for a provider, and is asked of the broker once. */
  callMs: 90 * second,
  /** Of a call that opens a task: a human may sign in for it first, as long as a device code lives. */
  openMs: 16 * minute,
  /** The most that one look waits for humans. */
  waitSeconds: 30,

  /** A credential with less life left is replaced when it is asked for; half of its life where that is less. */
  leftMs: 10 * minute,
  /** What was replaced lives on for those who hold it, and is given back then. */
  graceMs: 5 * minute,
  /** Where a new one could not be had: nobody asks for one again so soon. */
  refreshAgainMs: 30 * second,
  /** AWS SDKs wait for one second, some of it is theirs. */
  awsAnswerMs: 700,
  /** How often consumers may say of one handle that its provider refuses it, and in which time. */
  rejections: 3,
  rejectionsMs: 10 * minute,
} as const
