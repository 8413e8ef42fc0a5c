/** An answer that is a refusal, with the status, code and message that AWS gives. Rendered by the service's protocol. */
export class AwsError extends Error {
  override name = 'AwsError'
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** A parameter that breaks the published constraint (STS and IAM: `ValidationError`, 400). */
export function validationError(value: string, parameter: string, constraint: string): AwsError {
  const message = `1 validation error detected: Value '${value}' at '${parameter}' failed to satisfy constraint: ${constraint}`
  return new AwsError(400, 'ValidationError', message)
}
