/** How each service words success, refusal and a failed signature: the same facts in three XML dialects. */
import { AwsError } from './aws-error.ts'
import type { AuthFailure, Service } from './sigv4.ts'
import { type Xml, xmlDocument } from './xml.ts'

const NAMESPACES: Readonly<Record<'sts' | 'iam' | 'ec2', string>> = {
  sts: 'https://sts.amazonaws.com/doc/2011-06-15/',
  iam: 'https://iam.amazonaws.com/doc/2010-05-08/',
  ec2: 'http://ec2.amazonaws.com/doc/2016-11-15/',
}

/** A successful answer of a query-protocol service; `result` undefined for an action that answers with nothing. */
export function answer(
  service: 'sts' | 'iam' | 'ec2',
  action: string,
  id: string,
  result: Xml | undefined,
): Response {
  const content: Xml =
    service === 'ec2'
      ? { requestId: id, ...(typeof result === 'object' ? result : {}) }
      : { [`${action}Result`]: result, ResponseMetadata: { RequestId: id } }
  return xmlResponse(200, id, xmlDocument(`${action}Response`, NAMESPACES[service], content))
}

export function answerError(service: Service, id: string, error: AwsError): Response {
  const { status, code, message } = error
  switch (service) {
    case 'ec2': {
      const content = { Errors: { Error: { Code: code, Message: message } }, RequestID: id }
      return xmlResponse(status, id, xmlDocument('Response', undefined, content))
    }
    case 's3': {
      const content = { Code: code, Message: message, RequestId: id }
      return xmlResponse(status, id, xmlDocument('Error', undefined, content))
    }
    default: {
      const detail = { Type: status < 500 ? 'Sender' : 'Receiver', Code: code, Message: message }
      const content = { Error: detail, RequestId: id }
      return xmlResponse(status, id, xmlDocument('ErrorResponse', NAMESPACES[service], content))
    }
  }
}

/** The service's own code and status for a request whose signature, key or session is no good. */
export function authError(service: Service, failure: AuthFailure): AwsError {
  const [status, code, message] = (service === 'sts' ? AUTH_ERRORS.iam : AUTH_ERRORS[service])[failure]
  return new AwsError(status, code, message)
}

type AuthErrors = Readonly<Record<AuthFailure, readonly [status: number, code: string, message: string]>>

const MISMATCH =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.'
const SCOPE = 'Credential should be scoped to correct service.'
const INVALID = 'The security token included in the request is invalid.'
const NOT_VALIDATED = 'AWS was not able to validate the provided access credentials'

const STS_AND_IAM: AuthErrors = {
  unsigned: [403, 'MissingAuthenticationToken', 'Request is missing Authentication Token'],
  incomplete: [400, 'IncompleteSignature', 'The request signature does not conform to AWS standards.'],
  wrong_service: [403, 'SignatureDoesNotMatch', SCOPE],
  unknown_key: [403, 'InvalidClientTokenId', INVALID],
  bad_token: [403, 'InvalidClientTokenId', INVALID],
  skewed: [
    403,
    'SignatureDoesNotMatch',
    'Signature expired or not yet current: its date is too far from now.',
  ],
  bad_signature: [403, 'SignatureDoesNotMatch', MISMATCH],
  body_mismatch: [403, 'SignatureDoesNotMatch', MISMATCH],
  unsigned_headers: [403, 'SignatureDoesNotMatch', MISMATCH],
  unsupported_body: [403, 'SignatureDoesNotMatch', MISMATCH],
  expired_token: [403, 'ExpiredToken', 'The security token included in the request is expired'],
}

const EC2: AuthErrors = {
  ...STS_AND_IAM,
  unknown_key: [401, 'AuthFailure', NOT_VALIDATED],
  bad_token: [401, 'AuthFailure', NOT_VALIDATED],
  bad_signature: [401, 'AuthFailure', NOT_VALIDATED],
  skewed: [400, 'RequestExpired', 'Request has expired.'],
  expired_token: [400, 'RequestExpired', 'Request has expired.'],
}

const S3: AuthErrors = {
  unsigned: [403, 'AccessDenied', 'Access Denied'],
  incomplete: [400, 'AuthorizationHeaderMalformed', 'The authorization header is malformed.'],
  wrong_service: [400, 'AuthorizationHeaderMalformed', SCOPE],
  unknown_key: [
    403,
    'InvalidAccessKeyId',
    'The AWS Access Key Id you provided does not exist in our records.',
  ],
  bad_token: [400, 'InvalidToken', 'The provided token is malformed or otherwise invalid.'],
  skewed: [
    403,
    'RequestTimeTooSkewed',
    'The difference between the request time and the current time is too large.',
  ],
  bad_signature: [403, 'SignatureDoesNotMatch', MISMATCH],
  body_mismatch: [400, 'XAmzContentSHA256Mismatch', 'The provided SHA256 does not match what was computed.'],
  unsigned_headers: [403, 'AccessDenied', 'There were headers present in the request which were not signed'],
  unsupported_body: [501, 'NotImplemented', 'This stand-in takes no chunked uploads.'],
  expired_token: [400, 'ExpiredToken', 'The provided token has expired.'],
}

const AUTH_ERRORS: Readonly<Record<'iam' | 'ec2' | 's3', AuthErrors>> = { iam: STS_AND_IAM, ec2: EC2, s3: S3 }

function xmlResponse(status: number, id: string, xml: string): Response {
  return new Response(xml, { status, headers: { 'content-type': 'text/xml', 'x-amzn-requestid': id } })
}
