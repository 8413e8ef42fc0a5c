/** Which handler answers which of GitHub's operations. */
import * as actions from './actions-api.ts'
import * as app from './app-api.ts'
import * as collaborators from './collaborators-api.ts'
import type { Handler } from './handler.ts'
import * as issues from './issues-api.ts'
import type { OperationId } from './operations.ts'
import * as repository from './repository-api.ts'
import * as secretScanning from './secret-scanning-api.ts'

export const handlers: Readonly<Record<OperationId, Handler>> = {
  'apps/get-authenticated': app.getApp,
  'apps/list-installations': app.listInstallations,
  'apps/get-installation': app.getInstallation,
  'apps/create-installation-access-token': app.createAccessToken,
  'apps/suspend-installation': app.suspendInstallation,
  'apps/unsuspend-installation': app.unsuspendInstallation,
  'apps/get-org-installation': app.getOrganizationInstallation,
  'apps/get-repo-installation': app.getRepositoryInstallation,
  'apps/get-user-installation': app.getUserInstallation,
  'apps/list-repos-accessible-to-installation': app.listAccessibleRepositories,
  'apps/revoke-installation-access-token': app.revokeAccessToken,
  'repos/get': repository.getRepository,
  'repos/get-content': repository.getContent,
  'repos/create-or-update-file-contents': repository.putContent,
  'repos/get-collaborator-permission-level': collaborators.getPermissionLevel,
  'git/create-ref': repository.createRef,
  'issues/list-for-repo': issues.listIssues,
  'issues/create': issues.createIssue,
  'pulls/list': issues.listPulls,
  'pulls/create': issues.createPull,
  'actions/list-jobs-for-workflow-run-attempt': actions.listJobsForAttempt,
  'actions/get-job-for-workflow-run': actions.getJob,
  'actions/get-workflow-run-attempt': actions.getRunAttempt,
  'secret-scanning/get-alert': secretScanning.getAlert,
}
