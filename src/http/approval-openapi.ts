/** What the OpenAPI document says of approvals. Those without `auth` carry their sign-in in the body. */
import type { z } from '@hono/zod-openapi'
import {
  approvalsQuery,
  approveBody,
  checkInBody,
  denyBody,
  preapprovalBody,
  preapprovalPreviewBody,
  preapprovalsQuery,
} from './approval-schemas.ts'

type Described = {
  method: 'get' | 'post' | 'delete'
  path: string
  summary: string
  auth?: 'operatorToken'
  body?: z.ZodType
  query?: z.ZodObject
  ok: 200 | 201
}

export const APPROVAL_ROUTES: readonly Described[] = [
  {
    ...{ method: 'get', path: '/v1/approvals', summary: 'What humans are asked, newest first' },
    ...{ auth: 'operatorToken', query: approvalsQuery, ok: 200 },
  },
  {
    ...{ method: 'get', path: '/v1/approvals/{id}', summary: 'One approval: exactly what would be minted' },
    ...{ auth: 'operatorToken', ok: 200 },
  },
  {
    ...{ method: 'post', path: '/v1/approvals/{id}/approve', summary: 'Agree, by a sign-in for this alone' },
    ...{ body: approveBody, ok: 200 },
  },
  {
    ...{ method: 'post', path: '/v1/approvals/{id}/deny', summary: 'Say no, by a sign-in for this alone' },
    ...{ body: denyBody, ok: 200 },
  },
  {
    ...{ method: 'get', path: '/v1/preapprovals', summary: 'Consent given beforehand, newest first' },
    ...{ auth: 'operatorToken', query: preapprovalsQuery, ok: 200 },
  },
  {
    ...{
      method: 'post',
      path: '/v1/preapprovals/preview',
      summary: 'What a window would be; changes nothing',
    },
    ...{ auth: 'operatorToken', body: preapprovalPreviewBody, ok: 200 },
  },
  {
    ...{ method: 'post', path: '/v1/preapprovals', summary: 'Agree beforehand, by a sign-in for this alone' },
    ...{ body: preapprovalBody, ok: 201 },
  },
  {
    ...{ method: 'delete', path: '/v1/preapprovals/{id}', summary: 'Take a window back' },
    ...{ auth: 'operatorToken', ok: 200 },
  },
  {
    ...{ method: 'post', path: '/v1/tasks/{id}/check-in', summary: 'A human says that the task may go on' },
    ...{ body: checkInBody, ok: 200 },
  },
]
