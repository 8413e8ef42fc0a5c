/** Names in an environment, for the commands and the GitHub Action: it is bundled, so nothing is imported here. */

/** Where a process finds its server: a socket's absolute path, or a URL and its token. */
export const SIDECAR_VARIABLES = {
  socket: 'MAYFLY_SOCKET',
  url: 'MAYFLY_LOCAL_URL',
  token: 'MAYFLY_LOCAL_TOKEN',
} as const

/** With these a command could prove itself again, act on a task, or reach a server that is another's. */
export const WITHHELD_VARIABLES: readonly string[] = [
  ...['ACTIONS_ID_TOKEN_REQUEST_URL', 'ACTIONS_ID_TOKEN_REQUEST_TOKEN'],
  ...['MAYFLY_EVIDENCE_FILE', 'MAYFLY_CLIENT_CERT_FILE', 'MAYFLY_CLIENT_KEY_FILE'],
  ...['MAYFLY_TASK_TOKEN_FILE', 'MAYFLY_OPERATOR_TOKEN_FILE'],
  ...Object.values(SIDECAR_VARIABLES),
]

/** Other ways to AWS credentials: some SDKs look at these first, and would not use what was asked for. */
export const OTHER_AWS_VARIABLES: readonly string[] = [
  ...['AWS_PROFILE', 'AWS_DEFAULT_PROFILE', 'AWS_SECURITY_TOKEN', 'AWS_CREDENTIAL_EXPIRATION'],
  ...['AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_ROLE_ARN', 'AWS_ROLE_SESSION_NAME'],
  ...['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_CONTAINER_CREDENTIALS_FULL_URI'],
  ...['AWS_CONTAINER_AUTHORIZATION_TOKEN', 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'],
]

/** Of an issuer's credential. `payments.jwt` is not `payments-jwt`: the dot of a team's name is two. */
export function tokenVariable(issuer: string): string {
  return `MAYFLY_TOKEN_${issuer.toUpperCase().replaceAll('-', '_').replaceAll('.', '__')}`
}
