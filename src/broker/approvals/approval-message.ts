/** What webhooks are told of an approval: for programs, or for people in a chat. Never a secret. */
import type { ApprovalRow, DeliveryRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { inertText } from '../inert-text.ts'
import { type ApprovalDocument, readDocument } from './approval-document.ts'
import { verifiedApproval } from './verified-approvals.ts'

/** @throws Error where there is nothing to tell of */
export async function approvalMessage(
  broker: Broker,
  delivery: Pick<DeliveryRow, 'about' | 'event' | 'created_at'>,
  format: 'standard' | 'slack',
): Promise<string> {
  const row = delivery.about === null ? undefined : await broker.ledger.read.approval(delivery.about)
  if (row === undefined) throw new Error('there is no approval to tell of')
  const document = readDocument(verifiedApproval(broker, row).document)
  const body = format === 'slack' ? slack(delivery, row, document) : standard(delivery, row, document)
  return JSON.stringify(body)
}

/** Texts of the caller stand under `untrusted`: whoever shows them makes them inert first. */
function standard(
  { event, created_at }: Pick<DeliveryRow, 'event' | 'created_at'>,
  row: ApprovalRow,
  document: ApprovalDocument,
): object {
  const { ask, phase, permissions, may_leave_access, revocability, deadline } = document
  return {
    type: event,
    timestamp: time(created_at),
    data: {
      ...{ approval: row.id, task: row.task, agent: row.agent, digest: row.digest, mints: row.mints },
      authorization_details: ask.authorization_details,
      ...{ phase, permissions, may_leave_access, revocability, deadline },
      expires_at: time(row.expires_at),
      ...(event === 'approval.decided' ? outcome(row) : {}),
      untrusted: { purpose: document.task.purpose, ...document.untrusted },
    },
  }
}

function outcome({ state, closed_by, closed_at, reason }: ApprovalRow) {
  return { state, closed_by, closed_at: closed_at === null ? null : time(closed_at), reason }
}

/** Block Kit, plain text only: nothing in it is marked up, linked or a mention. */
function slack({ event }: Pick<DeliveryRow, 'event'>, row: ApprovalRow, document: ApprovalDocument): object {
  const asked = event === 'approval.requested'
  const head = asked ? `${row.agent} asks for ${document.phase}` : `${row.agent}: ${row.state}`
  const details = inertText(JSON.stringify(document.ask.authorization_details), DETAILS_CHARS)
  const lines = [
    ...(asked ? [] : [`by ${inertText(row.closed_by ?? 'nobody', SHORT_CHARS)}`]),
    `wants ${details}`,
    `until ${document.deadline}${document.may_leave_access ? ', and may leave access behind' : ''}`,
    `the agent says, and nobody vouches for it: “${inertText(document.task.purpose)}”`,
    ...(document.untrusted.justification === null
      ? []
      : [`“${inertText(document.untrusted.justification)}”`]),
    ...(asked ? [`answer before ${time(row.expires_at)}: mayfly approvals show ${row.id}`] : []),
  ]
  return {
    text: escaped(`${head} (${row.id})`),
    mrkdwn: false,
    blocks: [
      { type: 'header', text: plain(head, HEADER_CHARS) },
      ...lines.map(line => ({ type: 'section', text: plain(line, TEXT_CHARS) })),
    ],
  }
}

const plain = (text: string, most: number) => ({
  type: 'plain_text',
  text: escaped(text).slice(0, most),
  emoji: false,
})

/** As Slack asks for every text (docs.slack.dev, "Formatting message text": escaping). */
const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** Slack's own bounds on a header and a section. */
const HEADER_CHARS = 150
const TEXT_CHARS = 3_000
const DETAILS_CHARS = 1_500
const SHORT_CHARS = 200

const time = (ms: number) => new Date(ms).toISOString()
