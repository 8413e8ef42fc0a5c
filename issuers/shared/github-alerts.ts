/**
 * Secret scanning at GitHub. Its webhook says that an alert stands and not what it found: that is asked for with
 * `secret_scanning_alerts: read`. Source: GitHub Docs, "Webhook events and payloads" (secret_scanning_alert) and
 * `GET /repos/{owner}/{repo}/secret-scanning/alerts/{alert_number}` of the published OpenAPI description.
 */
import { z } from 'zod'
import type { GithubAsk } from './github-ask.ts'
import { type GithubRest, unavailable } from './github-rest.ts'
import { holdUntil } from './github-work.ts'
import { Secret } from './secret.ts'
import type { SecretAlertNotice, SecretAlerts } from './secret-alerts.ts'

export function githubAlerts(rest: GithubRest): SecretAlerts<GithubAsk> {
  return {
    ask: (repository, name) => ({
      repositories: [{ id: Number(repository), name }],
      permissions: { metadata: 'read', secret_scanning_alerts: 'read' },
    }),
    async found({ repository, number }, token, lease) {
      // By id: a name can be given to another repository.
      const route = 'GET /repositories/{repository}/secret-scanning/alerts/{number}'
      const answer = await rest.asToken(route, { repository, number }, token.reveal(), lease)
      const held = holdUntil(answer)
      if (answer.status === 404) return { seen: undefined, ...held }
      if (answer.status !== 200) throw unavailable(answer, 'a secret scanning alert')
      const parsed = alertAnswer.safeParse(answer.data)
      if (!parsed.success) throw unavailable(answer, 'a secret scanning alert, which cannot be read')
      return { seen: new Secret(parsed.data.secret), ...held }
    },
  }
}

const secret = z.string().min(1)
const alertAnswer = z.object({ secret })

/** Those after which the secret is in the hands of others, or may be again. */
const TOLD: ReadonlySet<string> = new Set(['created', 'publicly_leaked', 'reopened'])
const id = z.int().positive()
const alertEvent = z.object({
  action: z.string(),
  alert: z.object({ number: id, secret: secret.optional() }),
  repository: z.object({ id, full_name: z.string().min(1).max(250) }),
})

/**
 * The alert that a verified delivery tells of; undefined for every other event and action.
 * @throws z.ZodError where GitHub's payload is not of the known form
 */
export function readGithubAlert(event: string, payload: unknown): SecretAlertNotice | undefined {
  if (event !== 'secret_scanning_alert') return undefined
  const { action, alert, repository } = alertEvent.parse(payload)
  if (!TOLD.has(action)) return undefined
  return {
    repository: String(repository.id),
    repositoryName: repository.full_name,
    number: alert.number,
    ...(alert.secret === undefined ? {} : { secret: new Secret(alert.secret) }),
  }
}
