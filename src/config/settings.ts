/** The shape of mayfly.yaml. Keys keep their names from file to code. */
import { z } from 'zod'
import type { RuleFacts } from '../../attestors/attestor.ts'
import { LIMITS } from '../limits.ts'
import { BadAddress, parsePostgresUrl } from '../store/postgres-address.ts'
import { POSTGRES_LIMITS } from '../store/postgres-pool.ts'
import { budgetsShape } from './budgets.ts'
import { humansShape, refuseSharedAudience } from './humans.ts'
import {
  isLoopback,
  listenShape,
  mtlsListenShape,
  originShape,
  refuseOperatorsCertificates,
} from './listen.ts'
import { namespacesShape, refuseUnknownShares } from './namespaces.ts'
import { octoStsShape, refuseUnknownNames } from './octo-sts.ts'
import { operatorsShape } from './operators.ts'
import { lineShape, nameShape, pathShape, sha256Shape, wholeNumber } from './shapes.ts'
import { refuseUnknownStsIssuers, stsEndpointShape } from './sts-endpoint.ts'

/** A file of this broker's own, or a PostgreSQL that any number of brokers share. */
const ledgerShape = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('sqlite'), path: pathShape }),
  z
    .strictObject({
      type: z.literal('postgres'),
      /** Without a password. One with a password stands in `url_file`, mode 0600. */
      url: z.string().max(1_000).superRefine(refuseBadUrl).optional(),
      url_file: pathShape.optional(),
      /** PEM of the CAs that may vouch for the server; the system's where absent. */
      ca_file: pathShape.optional(),
      /** The most that this broker opens. */
      connections: wholeNumber(2, 500, 'connections').default(POSTGRES_LIMITS.connections),
    })
    .superRefine(({ url, url_file }, context) => {
      if ((url === undefined) !== (url_file === undefined)) return
      context.addIssue({ code: 'custom', message: 'expected one of url and url_file' })
    }),
])

function refuseBadUrl(text: string, context: z.RefinementCtx): void {
  const refuse = (message: string, remedy?: string) =>
    context.addIssue({ code: 'custom', message, ...(remedy === undefined ? {} : { params: { remedy } }) })
  try {
    if (parsePostgresUrl(text).password === undefined) return
  } catch (error) {
    if (!(error instanceof BadAddress)) throw error
    refuse(error.message)
    return
  }
  refuse('expected a URL without a password', 'Put the URL into a file of mode 0600 and name it in url_file')
}

const outgoingUrlShape = z
  .string()
  .max(2_000)
  .superRefine((text, context) => {
    const refuse = (message: string, remedy: string) =>
      context.addIssue({ code: 'custom', message, params: { remedy } })
    const url = URL.parse(text)
    if (url === null) return refuse('expected a URL', 'Write it like https://ci.example.com/mayfly')
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname)))
      refuse('expected https (http only on loopback)', 'Use https')
    if (url.username !== '' || url.password !== '')
      refuse('expected a URL without a user name', 'Remove it: no secret belongs into a URL')
  })

/** What an instance of an attestor or issuer has beside its type's own settings. */
const instanceShape = z.looseObject({
  type: z.string().min(1).max(LIMITS.nameChars),
  owner: lineShape(LIMITS.labelChars).optional(),
  description: lineShape(LIMITS.reasonChars).optional(),
})
const instancesShape = z
  .record(nameShape, instanceShape)
  .refine(
    all => Object.keys(all).length <= LIMITS.pluginInstances,
    `expected at most ${LIMITS.pluginInstances} instances`,
  )

const override = (limit: number, max: number, unit: string) => wholeNumber(1, max, unit).default(limit)

export const settingsShape = z
  .strictObject({
    listen: listenShape,
    /** Operators' own listener; absent, they share the first one. */
    operator_listen: listenShape.optional(),
    /** What workloads find on the first one, once more, for those with client certificates. */
    mtls_listen: mtlsListenShape.optional(),
    /** Who operators are: an identity provider, roles, and what takes two of them. */
    operators: operatorsShape.prefault({}),
    /** On whose behalf agents may act: who vouches for these humans. None: on nobody's. */
    humans: humansShape,
    /** Issuer URL of what Mayfly signs, and base of every URL it hands out. Never taken from a request. */
    public_url: originShape,
    ledger: ledgerShape,
    kek_file: pathShape,
    plugins: z
      .array(z.strictObject({ module: pathShape, sha256: sha256Shape }))
      .max(LIMITS.pluginInstances)
      .default([]),
    /**
     * Files that go back to what was in force before need a higher one, where several brokers share a ledger: it
     * tells a rollback from a broker that was left behind.
     */
    configuration_version: wholeNumber(0, 1_000_000_000, 'a version').default(0),
    namespaces: namespacesShape,
    attestors: instancesShape,
    issuers: instancesShape,
    /** What clients of octo-sts speak. Absent: it is not served. */
    octo_sts: octoStsShape.optional(),
    /** An STS for AWS's SDKs. Absent: none is served. */
    sts_endpoint: stsEndpointShape.optional(),
    /** Who is told, by name, of every task that ended and how. */
    webhooks: z
      .record(
        nameShape,
        z.strictObject({
          url: outgoingUrlShape,
          secret_file: pathShape,
          /** `slack`: bodies that a chat shows, for approvals only unless `events` says otherwise. */
          format: z.enum(['standard', 'slack']).default('standard'),
          events: z
            .array(z.enum(['task.ending', 'task.ended', 'approval.requested', 'approval.decided']))
            .min(1)
            .optional(),
        }),
      )
      .refine(
        all => Object.keys(all).length <= LIMITS.webhooks,
        `expected at most ${LIMITS.webhooks} webhooks`,
      )
      .default({}),
    /** By issuer: the canary that shows, again and again, that what it mints can be ended. */
    drills: z
      .record(
        nameShape,
        z.strictObject({
          ask: z.record(z.string(), z.unknown()),
          through: outgoingUrlShape.optional(),
          daily: z.boolean().default(true),
        }),
      )
      .default({}),
    agents_dir: pathShape.default('agents'),
    resource_servers_dir: pathShape.default('resource-servers'),
    /** Cedar policies, `*.cedar`. Absent: the ceilings alone bound an agent. */
    policies_dir: pathShape.optional(),
    /** A candidate set, judged beside them on real traffic; it decides nothing. */
    policies_shadow_dir: pathShape.optional(),
    log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
    /** What a scraper of /metrics presents; without it they are served on the operators' own listener only. */
    metrics: z.strictObject({ token_file: pathShape.optional() }).prefault({}),
    outbound: z
      .strictObject({
        allow_private_networks: z.boolean().default(false),
        /** Identity providers and providers on this machine, over plain http. For development. */
        allow_loopback: z.boolean().default(false),
      })
      .prefault({}),
    task_defaults: z
      .strictObject({
        minutes: wholeNumber(LIMITS.taskMinMinutes, LIMITS.taskMinutes, 'minutes').default(30),
        heartbeat_seconds: wholeNumber(
          LIMITS.heartbeatMinSeconds,
          LIMITS.heartbeatMaxSeconds,
          'seconds',
        ).optional(),
        /** Of tasks of agents of these tiers a human must say this often that they may go on. */
        check_in: z
          .strictObject({
            tiers: z.array(z.enum(['low', 'medium', 'high'])).min(1),
            minutes: wholeNumber(LIMITS.checkInMinMinutes, LIMITS.checkInMaxMinutes, 'minutes'),
          })
          .optional(),
      })
      .prefault({}),
    /** What owners and lineages may use up, beside the agents' own limits. */
    budgets: budgetsShape,
    /** By what agents are found that somebody should look at. */
    life_cycle: z
      .strictObject({
        /** The teams that there are; an agent of any other is without an owner. */
        owners: z.array(lineShape(LIMITS.labelChars)).max(LIMITS.registryFiles).optional(),
        unused_days: wholeNumber(1, 3_650, 'days').default(90),
        /** Whether every agent must have been certified by its owner once. */
        certify: z.boolean().default(false),
        /** The claim of evidence that names the build of the agent. */
        build_claim: z
          .string()
          .regex(/^[A-Za-z][\w.:/-]{0,127}$/, 'expected the name of a claim')
          .optional(),
      })
      .prefault({}),
    /** What comes of a secret that is reported as leaked, beside its end. */
    leaks: z
      .strictObject({
        /** Whether its agent may only read from then on. `high_tiers`: unless its risk tier is low. */
        quarantine: z.enum(['always', 'high_tiers', 'never']).default('always'),
        /** A `github-app` issuer whose App may read secret scanning alerts: these do not say what leaked. */
        github_alerts: z.strictObject({ issuer: nameShape }).optional(),
      })
      .prefault({}),
    /** How the end of a CI job is noticed, beside its own word, its heartbeat and its deadline. */
    observers: z
      .strictObject({
        /** Taken at `/webhooks/github`. The file holds the App's webhook secret, or two during a rotation. */
        github_webhooks: z.strictObject({ secret_file: pathShape }).optional(),
        github_poll: z
          .strictObject({
            /** A `github-app` issuer whose App may read Actions. */
            issuer: nameShape,
            every_seconds: wholeNumber(LIMITS.pollMinSeconds, LIMITS.pollMaxSeconds, 'seconds').default(60),
          })
          .optional(),
        /** At each open GitHub is asked whether the job runs: for agents of these tiers, or that say so. */
        verify_job_running: z
          .strictObject({
            issuer: nameShape,
            tiers: z.array(z.enum(['low', 'medium', 'high'])).default([]),
          })
          .optional(),
      })
      .prefault({}),
    limits: z
      .strictObject({
        connections: override(LIMITS.connections, 100_000, 'connections'),
        requests_in_flight: override(LIMITS.requestsInFlight, 10_000, 'requests'),
        requests_per_minute_per_source: override(LIMITS.requestsPerMinutePerSource, 1_000_000, 'requests'),
        exchanges_per_minute_per_source: override(LIMITS.exchangesPerMinutePerSource, 1_000_000, 'requests'),
        failed_attestations_per_minute_per_source: override(
          LIMITS.failedAttestationsPerMinutePerSource,
          1_000_000,
          'attempts',
        ),
        reaper_concurrency_per_issuer: override(LIMITS.reaperConcurrencyPerIssuer, 256, 'calls'),
        task_minutes: override(LIMITS.taskMinutes, LIMITS.taskMinutes, 'minutes'),
      })
      .prefault({}),
  })
  .superRefine(refuseSharedAudience)
  .superRefine(refuseOperatorsCertificates)
  .superRefine(refuseUnknownStsIssuers)
  .superRefine(refuseUnknownNames)
  .superRefine(refuseUnknownShares)
  .superRefine(({ observers, issuers }, context) => {
    for (const key of ['github_poll', 'verify_job_running'] as const) {
      const issuer = observers[key]?.issuer
      if (issuer === undefined || Object.hasOwn(issuers, issuer)) continue
      const message = `expected one of the issuers: ${Object.keys(issuers).slice(0, 20).join(', ')}`
      context.addIssue({ code: 'custom', path: ['observers', key, 'issuer'], message })
    }
  })
  .superRefine(({ leaks, issuers }, context) => {
    const issuer = leaks.github_alerts?.issuer
    if (issuer === undefined || Object.hasOwn(issuers, issuer)) return
    const message = `expected one of the issuers: ${Object.keys(issuers).slice(0, 20).join(', ')}`
    context.addIssue({ code: 'custom', path: ['leaks', 'github_alerts', 'issuer'], message })
  })
  .superRefine(({ listen, operator_listen, mtls_listen, task_defaults, limits }, context) => {
    const taken = new Map([[listen.port, 'listen']])
    for (const [key, at] of Object.entries({ operator_listen, mtls_listen })) {
      if (at === undefined || at.port === 0) continue
      const other = taken.get(at.port)
      taken.set(at.port, key)
      if (other === undefined) continue
      const message = `expected another port than ${other}.port`
      const remedy = `Choose a free port, or remove ${key}`
      context.addIssue({ code: 'custom', path: [key, 'port'], message, params: { remedy } })
    }
    if (task_defaults.minutes > limits.task_minutes) {
      const message = `expected at most limits.task_minutes (${limits.task_minutes})`
      context.addIssue({ code: 'custom', path: ['task_defaults', 'minutes'], message })
    }
  })

export type SettingsShape = z.infer<typeof settingsShape>

/** One configured attestor or issuer. */
export type PluginInstance = {
  type: string
  owner?: string
  description?: string
  /** As the type's own schema parsed them; for its `open` only. */
  settings: unknown
  /** The same as they were written. */
  declared: Readonly<Record<string, unknown>>
  /** Of an attestor: what rules of agents may rely on. Absent: anything. */
  rules?: RuleFacts
  /** Of an attestor: it speaks of surroundings, and proves no identity. */
  posture?: true
}

/** mayfly.yaml, parsed; every path of its own is joined to `directory`. */
export type Settings = Omit<SettingsShape, 'attestors' | 'issuers'> & {
  /** The folder of the settings file: what relative paths inside instances' settings start from. */
  directory: string
  attestors: Readonly<Record<string, PluginInstance>>
  issuers: Readonly<Record<string, PluginInstance>>
}
