/** Answers in GitHub's form. */

/** What a handler returns; the pipeline adds the headers every answer carries. */
export type Answer = { status: number; body?: unknown; headers?: Record<string, string> }

/** Thrown by the steps of the pipeline, and answered as it is: `{ message, documentation_url, status }`. */
export class GithubRefusal extends Error {
  override name = 'GithubRefusal'
  readonly answer: Answer
  constructor(
    status: number,
    message: string,
    more: { errors?: readonly unknown[]; headers?: Record<string, string> } = {},
  ) {
    super(message)
    this.answer = { status, body: errorBody(status, message, more.errors), headers: more.headers ?? {} }
  }
}

export function errorBody(
  status: number,
  message: string,
  errors?: readonly unknown[],
): Record<string, unknown> {
  return {
    message,
    ...(errors === undefined ? {} : { errors }),
    documentation_url: 'https://docs.github.com/rest',
    status: String(status),
  }
}

export const notFound = () => new GithubRefusal(404, 'Not Found')
export const badCredentials = () => new GithubRefusal(401, 'Bad credentials')
export const requiresAuthentication = () => new GithubRefusal(401, 'Requires authentication')
/** The description of GitHub's own 422 for a body it cannot accept. */
export const invalidRequest = (detail: string) => new GithubRefusal(422, `Invalid request.\n\n${detail}`)
export const validationFailed = (errors: readonly unknown[]) =>
  new GithubRefusal(422, 'Validation Failed', { errors })

/**
 * GitHub's secondary rate limit, for a fault hook to answer with.
 * @param retryAfterSeconds what the caller is told to wait
 */
export function secondaryRateLimit(retryAfterSeconds: number, status: 403 | 429 = 403) {
  return {
    status,
    headers: { 'retry-after': String(retryAfterSeconds), 'content-type': 'application/json; charset=utf-8' },
    body: JSON.stringify(
      errorBody(
        status,
        'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
      ),
    ),
  }
}
