/**
 * The operations this stand-in serves, by GitHub's own operation ids: the description is cut to these, and
 * the table of handlers must answer each of them.
 */
export const operationIds = [
  'apps/get-authenticated',
  'apps/list-installations',
  'apps/get-installation',
  'apps/create-installation-access-token',
  'apps/suspend-installation',
  'apps/unsuspend-installation',
  'apps/get-org-installation',
  'apps/get-repo-installation',
  'apps/get-user-installation',
  'apps/list-repos-accessible-to-installation',
  'apps/revoke-installation-access-token',
  'repos/get',
  'repos/get-content',
  'repos/create-or-update-file-contents',
  'repos/get-collaborator-permission-level',
  'git/create-ref',
  'issues/list-for-repo',
  'issues/create',
  'pulls/list',
  'pulls/create',
  'actions/list-jobs-for-workflow-run-attempt',
  'actions/get-job-for-workflow-run',
  'actions/get-workflow-run-attempt',
  'secret-scanning/get-alert',
] as const

export type OperationId = (typeof operationIds)[number]
