/** Secret scanning alerts: the secret itself is told to whoever may read them, and stands in no webhook. */
import { authorize } from './access.ts'
import { notFound } from './answer.ts'
import type { Handler } from './handler.ts'
import { iso } from './render.ts'
import type { RepositoryRecord, SecretAlertRecord } from './state.ts'

export const getAlert: Handler = call => {
  const repository = authorize(call, { permission: 'secret_scanning_alerts', level: 'read' })
  const alert = repository.secretAlerts.get(Number(call.params.alert_number))
  if (alert === undefined) throw notFound()
  const hidden = String(call.params.hide_secret ?? 'false') === 'true'
  const shown = renderAlert(call.origin, repository, alert)
  return { status: 200, body: { ...shown, ...(hidden ? {} : { secret: alert.secret }) } }
}

/** As webhooks carry it: without the secret. */
export function renderAlert(
  origin: string,
  { owner, name }: Pick<RepositoryRecord, 'owner' | 'name'>,
  { number, at, type, publiclyLeaked }: SecretAlertRecord,
) {
  const url = `${origin}/repos/${owner}/${name}/secret-scanning/alerts/${number}`
  return {
    number,
    created_at: iso(at),
    updated_at: iso(at),
    url,
    html_url: `${origin}/${owner}/${name}/security/secret-scanning/${number}`,
    locations_url: `${url}/locations`,
    state: 'open',
    resolution: null,
    resolved_at: null,
    resolved_by: null,
    resolution_comment: null,
    secret_type: type,
    secret_type_display_name: type,
    validity: 'unknown',
    publicly_leaked: publiclyLeaked,
    multi_repo: false,
    push_protection_bypassed: false,
    push_protection_bypassed_by: null,
    push_protection_bypassed_at: null,
  }
}
