/**
 * Every limit in one place, its unit in its name. What an operator may override is named in the settings
 * (`limits:` in mayfly.yaml); the rest holds for every installation.
 */
const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
const kibibyte = 1_024

/** What people write in minutes is counted in milliseconds. */
export const MINUTE_MS = minute

export const LIMITS = {
  // Requests as they arrive (THREATS: body, header and JSON bombs, slow clients).
  bodyBytes: 64 * kibibyte,
  headerCount: 100,
  headerBytes: 16 * kibibyte,
  headersTimeoutMs: 10 * second,
  requestTimeoutMs: 15 * second,
  keepAliveTimeoutMs: 5 * second,
  /** How often Node looks for connections past their time. */
  connectionsCheckMs: 1 * second,
  connections: 1_000,
  proxyHops: 8,
  proxyNetworks: 64,
  certificatesPerChain: 8,
  /** How long a stopping server waits for requests in flight. */
  stopMs: 20 * second,
  pageItems: 100,
  /** Rows of a kind that one trail shows. */
  trailItems: 1_000,
  /** Credentials named in one question, whether the ledger knows them. */
  recognisedItems: 500,

  // Rates, judged before attestation. A source is an address, or the /64 of an IPv6 address.
  requestsPerMinutePerSource: 600,
  exchangesPerMinutePerSource: 120,
  failedAttestationsPerMinutePerSource: 30,
  /** Sources remembered at once; the least recently seen is forgotten first. */
  rateSources: 10_000,
  /** Requests being worked on at once: those whose body is still arriving are not among them. */
  requestsInFlight: 256,
  /** For completions, heartbeats and revocations alone, beside all of the above. */
  endsPerMinutePerSource: 3_000,
  endsInFlight: 64,
  /** Of each registered resource server, from wherever it asks. */
  introspectionsPerMinutePerServer: 600_000,
  /** What a caller is told to wait where nothing better is known. */
  attestationRetryAfterMs: 5 * second,
  budgetRetryAfterMs: 30 * second,
  /** Where a provider limits the rate of calls and does not say for how long. */
  providerRetryAfterMs: 30 * second,
  /** How far back policy looks at what was given out. */
  policyWindowMs: 24 * hour,

  // Policies, bounded before they are parsed: the parser's stack is short.
  policyFileChars: 256 * kibibyte,
  policySetChars: 1_024 * kibibyte,
  policies: 1_000,
  /** Brackets within brackets. */
  policyDepth: 24,
  /** Words and signs in one policy. */
  policyTokens: 1_024,
  approverGroups: 16,
  approvalQuorum: 10,
  /** What one judgement may be told: longer texts, longer lists and deeper nesting are denied unread. */
  policyRequestDepth: 6,
  policyRequestItems: 4_096,
  policyTextChars: 4_096,
  policyRequestChars: 256 * kibibyte,
  /** How long one judgement may take; the thread that judges is replaced after it. */
  policyDecisionMs: 2 * second,
  policyRetryAfterMs: 5 * second,
  /** How long a set may take to load: its schema grows with the issuers. */
  policyLoadMs: 30 * second,
  /** Judgements that wait for the thread. */
  policyWaiting: 4_096,
  /** Verdicts remembered; the least recently used is forgotten first. */
  policyVerdicts: 4_096,
  /** How long a set that was replaced goes on for requests that began under it: longer than any of them lasts. */
  policyRetireMs: 1 * minute,
  policyThreadMegabytes: 256,
  /** Permits that a denial is explained by. */
  policyNearest: 3,
  /** In one file of cases, and in one list of a case. */
  policyCases: 1_000,
  policyCaseItems: 64,
  /** Asks that wait to be judged by the candidate set, after their answer; more are not judged by it. */
  shadowWaiting: 1_000,
  /** How many are judged before what was found is written down, and how long after the first they are. */
  shadowBatch: 64,
  shadowDelayMs: 100,
  /** Kinds of differences that are kept. */
  shadowKinds: 1_000,

  // What the broker itself sends.
  outboundDeadlineMs: 5 * second,
  outboundBodyBytes: 256 * kibibyte,
  /** Ways out kept open for attestors that trust an authority of their own. */
  outboundAuthorities: 32,
  /** About where a workload runs, beside its identity. */
  statements: 4,
  providerDeadlineMs: 15 * second,

  // Evidence and tokens.
  evidenceBytes: 16 * kibibyte,
  /** After a restored backup: how long evidence is refused that does not say when it was issued. */
  undatedEvidenceMs: 1 * day,
  clockSkewMs: 60 * second,
  /** A broker further than this from the ledger's clock is not ready. */
  ledgerClockOffsetMs: 2 * second,

  // Tasks.
  lineageDepth: 8,
  childrenPerTask: 32,
  asksPerRequest: 16,
  /** Beside the one that a task may be opened with; every list of a task's credentials is whole. */
  credentialsPerTask: 256,
  taskMinutes: 24 * 60,
  taskMinMinutes: 1,
  activeTasksPerAgent: 10_000,
  credentialsPerHourPerAgent: 100_000,
  credentialsPerDay: 2_400_000,
  /** A thousand credentials that live all day. */
  writeMinutesPerDay: 1_440_000,
  /** Of an owner or a lineage. */
  activeTasksPerBudget: 1_000_000,
  heartbeatMinSeconds: 10,
  heartbeatMaxSeconds: 60 * 60,
  /** Of a task that a human signed in for on their own machine. */
  laptopSilenceSeconds: 5 * 60,
  ticketMs: 10 * minute,
  /** How long the broker's own task (a name looked up at a provider) may take. */
  systemTaskMs: 5 * minute,
  mayOutliveMinutes: 12 * 60,
  /** A lost answer may be asked for again within this window of the first use. */
  reissueWindowMs: 2 * minute,
  /** Nearer than this to the first use it is a race and not a retry. */
  reissueFloorMs: 1 * second,

  // Texts, in UTF-16 code units.
  purposeChars: 500,
  reasonChars: 500,
  detailChars: 500,
  nameChars: 63,
  labelChars: 200,
  claimChars: 512,
  /** What is kept of an identity that no agent matches. */
  strangerChars: 2_048,
  /** What of an ask is told to be beyond the nearest entry of a ceiling. */
  partsBeyond: 10,
  /** How many of a list's elements, or a map's members, are looked at for that. */
  partsLookedAt: 100,
  /** One refusal under the locks is written down, however often it comes within so long. */
  refusalWindowMs: 10 * minute,
  audienceChars: 255,

  // Ending things.
  reaperBatch: 100,
  reaperConcurrencyPerIssuer: 16,
  reaperBackstopMs: 5 * second,
  /** How long one claim of a due lease holds; longer than a provider call's deadline. */
  reaperClaimMs: 60 * second,
  /** How long one broker alone writes a group's document; no write is sent in the last `providerDeadlineMs`. */
  groupClaimMs: 60 * second,
  /** A group's document is written at most this often, so that a burst of ends costs few writes. */
  groupPauseMs: 1 * second,
  /** How often a group's document is looked at again while it has members. */
  groupUpkeepMs: 5 * minute,
  groupRetryMs: 15 * second,
  groupMembers: 10_000,
  groupsPerPass: 100,
  /** A member of a group is first looked at this long after its mint. */
  firstLookAfterMs: 2 * second,
  firstLooks: 5,
  /** How long the end of a group's members waits for a look at those that were never seen at work. */
  lookBeforeEndMs: 2 * second,
  /** A group's member that still answers this long after it was ended: the document is looked at. */
  groupDoubtMs: 2 * minute,
  endBatch: 500,
  /** After so many the broker says that it is alive, and looks again at once. */
  endBatchesPerLook: 20,
  /** Leases that one step of a revocation reads, and changes in one transaction. */
  revocationBatch: 100,
  /** Tasks that one step of a revocation ends at once. */
  revocationLanes: 8,
  /** How long one broker alone works at a revocation; a step takes far less. */
  revocationClaimMs: 60 * second,
  revocationsPerPass: 16,
  /** Revocations that hold; every mint is judged by each. */
  blocks: 100,
  blockedRetryAfterMs: 5 * minute,
  /** How often it is looked whether everything of an agent on its way out is over. */
  offboardingLookMs: second,
  offboardingClaimMs: 60 * second,
  /** Of one flag, in one line of the log. */
  flaggedNames: 20,
  /** Tasks, and leases, that a dry run lists, and pages that it reads for them. */
  previewRows: 500,
  previewPages: 1_000,
  /** How long the end of a CI job is remembered: longer than any evidence of it could live. */
  workEndKeptMs: 24 * hour,
  webhookBytes: 256 * kibibyte,
  webhooksInFlight: 32,
  /** Of each source, before anything is read of them. */
  webhooksPerMinutePerSource: 3_000,
  /** Deliveries told again within the hour are answered without work. */
  webhooksRemembered: 10_000,
  webhookRememberedMs: 1 * hour,
  /** Runs that one pass of the poller looks at, and how many at once. */
  pollRuns: 200,
  pollConcurrency: 4,
  pollMinSeconds: 10,
  pollMaxSeconds: 60 * 60,
  /** How often a request is judged, where what it is judged by is replaced meanwhile. */
  freshTries: 4,
  /** How long what an agent was given is not read again for its next mint, which looks whether it still is so. */
  heldRecallMs: 1 * second,
  /** How long a mint that brings something new waits for others of its team or line that do. */
  turnWaitMs: 5 * second,
  /** How often each broker looks whether anything was registered elsewhere. */
  followMs: 2 * second,
  /** How often a broker whose files are not in force reads them again. */
  filesLookMs: 10 * second,
  /** How often a registration is planned anew because others came first. */
  registerTries: 10,
  /** Documents in one plan, and their text. */
  registryDocuments: 1_000,
  registryBodyBytes: 1_024 * kibibyte,
  registrySecretChars: 64 * kibibyte,
  registryVersions: 100,
  namespaces: 1_000,
  /** How often a reload is put to a ledger that does not answer. */
  reconfigureTries: 30,
  backoffBaseMs: 1 * second,
  backoffCapMs: 5 * minute,
  retryAfterCapMs: 15 * minute,
  breakerFailures: 5,
  breakerOpenMs: 15 * second,

  // Approvals.
  /** How long humans have to answer; never beyond the deadline of the task. */
  approvalMs: 1 * hour,
  approvalsPerHourPerAgent: 120,
  /** Credentials that may be minted under one approval, where the caller asks for more than one. */
  approvalMints: 100,
  /** How often a caller that waits should ask again. */
  approvalPollMs: 5 * second,
  /** Callers remembered for that; the first seen is forgotten first. */
  approvalPollers: 10_000,
  /** Requests that wait for an answer, each holding its connection, and how long. */
  approvalWaiters: 256,
  approvalWaitSeconds: 30,
  /** How often a waiting request looks for what another broker did. */
  approvalLookMs: 1 * second,
  /** What an agent was given in this time is usual. */
  approvalUsualMs: 30 * day,
  approvalUsualRows: 500,
  /** Windows of one agent that are looked at for an ask; also how many may be open at once. */
  preapprovals: 32,
  preapprovalMinutes: 7 * 24 * 60,
  preapprovalUses: 1_000,
  checkInMinMinutes: 1,
  checkInMaxMinutes: 24 * 60,

  // Leaked secrets.
  leakedChars: 32 * kibibyte,
  leakSightings: 32,
  /** Reports without anybody's authority, from one source. */
  foundPerMinutePerSource: 30,
  /** What was dead for longer when it was reported is no reason to put its agent into quarantine. */
  leakFreshMs: 1 * day,
  /** Alerts that wait to be looked at, and how many one pass looks at. */
  secretAlerts: 10_000,
  secretAlertBatch: 100,
  secretAlertClaimMs: 5 * minute,
  /** How often one is asked for at a provider that does not answer, before it is left to people. */
  secretAlertAttempts: 24,

  // Receipts.
  /** Written together; each may hold a connection of the ledger. */
  receiptBatch: 8,
  /** How long one claim of a receipt holds; a receipt is written in far less. */
  receiptClaimMs: 60 * second,
  /** How long a receipt that waits for a child's is left alone; the child's own makes it due at once. */
  receiptDeferMs: 1 * minute,
  /** A task has no more credentials than this in its receipt; above, the receipt says that it is cut. */
  receiptCredentials: 1_000,
  receiptRetryAfterMs: 5 * second,
  receiptKeyRotateAfterMs: 180 * day,
  /** What receipts were signed with stays published for ten years. */
  receiptKeyPublishedMs: 3_650 * day,

  // Webhooks.
  webhooks: 16,
  /** Messages to one webhook under way at once. */
  deliveryBatch: 4,
  deliveryDeadlineMs: 10 * second,
  /** Longer than the deadline of the call. */
  deliveryClaimMs: 60 * second,
  deliveryAttempts: 16,
  deliveryBackoffBaseMs: 5 * second,
  deliveryBackoffCapMs: 1 * hour,
  deliveryAnswerBytes: 64 * kibibyte,
  deliveryKeptMs: 30 * day,

  // Drills.
  /** Longer than the slowest revocation takes to spread. */
  drillMs: 10 * minute,
  drillPollMs: 100,

  // Providers' audit logs, as they are given in files.
  providerLogCharacters: 64 * kibibyte * kibibyte,
  providerLogEntries: 500_000,
  /** Of one field of an entry; what is longer is cut. */
  providerLogFieldCharacters: 1_024,

  // Signing keys for task JWTs.
  /** The longest life of a JWT that Mayfly signs for a task. */
  taskJwtMs: 15 * minute,
  /** The longest life of a token by which Mayfly is recognised at a cloud provider. */
  webIdentityMs: 5 * minute,
  jwtBytes: 16 * kibibyte,
  signingKeyRotateAfterMs: 30 * day,
  /** A key is in the published set this long before it first signs: twice what verifiers cache. */
  signingKeyPublishAheadMs: 1 * day,
  /** Each broker reads the keys again at least this often, so a superseded key may sign this long. */
  signingKeyRefreshMs: 1 * minute,
  keySetMaxAgeSeconds: 10 * 60,
  operatorTokenMs: 24 * hour,

  // Humans who sign in.
  /** How long ago they may have proved who they are, for what takes a fresh sign-in. */
  freshSignInMs: 5 * minute,
  operatorSessionHours: 24,
  /** From a challenge to the session that is opened with it. */
  signInChallengeMs: 15 * minute,
  /** How long sessions are listed that are over. */
  operatorSessionsKeptMs: 90 * day,
  /** How long a change waits for a second human. */
  changeMs: 3 * day,
  changeChars: 256 * kibibyte,
  /** Groups of one human, and of one role. */
  operatorGroups: 256,
  /** Identity providers that vouch for humans on whose behalf agents act. */
  humanIssuers: 16,

  // Configuration.
  configFileChars: 512 * kibibyte,
  configAliases: 32,
  canonicalDepth: 32,
  configProblems: 50,
  /** Agents, and resource servers, each. */
  registryFiles: 10_000,
  pluginInstances: 100,
  attestRulesPerAgent: 32,
  claimsPerRule: 32,
  valuesPerClaim: 64,
  ceilingAsksPerIssuer: 64,
  systemsPerAgent: 64,
  pluginChars: 16 * kibibyte * kibibyte,

  // Trust policies of octo-sts, which repositories' writers write.
  trustPolicyChars: 32 * kibibyte,
  trustPatternChars: 1_024,
  /** What a pattern unfolds into: each letter of a value is held against all of it. */
  trustPatternInstructions: 4_096,
  trustClaimPatterns: 32,
  trustedIssuers: 64,
  trustedIssuerPatterns: 16,
  trustedIssuerPatternChars: 256,
  /** Files remembered at once; the oldest is forgotten first. */
  trustFiles: 2_000,
  trustFileMs: 5 * minute,
  /** That there is no such file. */
  trustFileMissingMs: 1 * minute,
  /** Files looked for at the provider: for one caller, and for one owner. */
  trustReadsPerMinutePerCaller: 20,
  trustReadsPerMinutePerOwner: 300,
  trustRegisterTries: 5,

  // Keeping house.
  pruneBatch: 1_000,
} as const

export type Limits = { readonly [Name in keyof typeof LIMITS]: number }
