/** What git writes to a credential helper (git-credential(1), "INPUT/OUTPUT FORMAT"): attributes, a line each. */
import { Secret } from '../../issuers/shared/secret.ts'
import { CLI_LIMITS } from './limits.ts'

export type CredentialRequest = {
  /** Empty where git did not say, as for the passphrase of a client certificate. */
  protocol: string
  host: string
  /** Of the remote's URL, decoded; only where `credential.useHttpPath` is set. */
  path?: string
  /** What is to be erased, also where it came as the encoded credential of HTTP's Basic scheme. */
  password?: Secret
  /** Whether git takes the scheme and the encoded credential in place of a password (git 2.46 and newer). */
  takesAuthtype: boolean
}

/** `problem` says what is wrong by line and name, and quotes no value. */
export type ParsedRequest = { ok: true; request: CredentialRequest } | { ok: false; problem: string }

const ONCE: ReadonlySet<string> = new Set([
  ...['protocol', 'host', 'path', 'username', 'password', 'authtype', 'credential'],
])

/**
 * Up to the first empty line or the end. Names that are not known here are passed over. What git itself refuses
 * since line ends in URLs made it ask for the credentials of another host is refused here, too: NUL, a carriage
 * return, a line without `=`, and an attribute that is said twice and means two things.
 */
export function parseCredentialRequest(text: string): ParsedRequest {
  const values = new Map<string, string>()
  let takesAuthtype = false
  const lines = text.split('\n')
  for (const [index, line] of lines.entries()) {
    if (line === '') break
    const problem = problemOf(line, index)
    if (problem !== undefined) return { ok: false, problem: `line ${index + 1} ${problem}` }
    const at = line.indexOf('=')
    const [name, value] = [line.slice(0, at), line.slice(at + 1)]
    if (name === 'capability[]') takesAuthtype ||= value === 'authtype'
    if (!ONCE.has(name)) continue
    if (values.has(name)) return { ok: false, problem: `line ${index + 1} says ${name} a second time` }
    values.set(name, value)
  }
  const path = values.get('path')
  const password = values.get('password') ?? passwordOf(values.get('authtype'), values.get('credential'))
  return {
    ok: true,
    request: {
      protocol: values.get('protocol') ?? '',
      host: values.get('host') ?? '',
      ...(path === undefined ? {} : { path }),
      ...(password === undefined ? {} : { password: new Secret(password) }),
      takesAuthtype,
    },
  }
}

function problemOf(line: string, index: number): string | undefined {
  if (index >= CLI_LIMITS.gitLines) return `is one more than the ${CLI_LIMITS.gitLines} that are read`
  if (Buffer.byteLength(line) > CLI_LIMITS.gitLineBytes)
    return `is longer than the ${CLI_LIMITS.gitLineBytes} bytes that git allows`
  if (line.includes('\0')) return 'holds a NUL'
  if (line.includes('\r')) return 'holds a carriage return'
  return line.indexOf('=') > 0 ? undefined : 'is not of the form name=value'
}

/** RFC 7617. */
function passwordOf(authtype: string | undefined, credential: string | undefined): string | undefined {
  if (authtype?.toLowerCase() !== 'basic' || credential === undefined) return undefined
  const pair = Buffer.from(credential, 'base64').toString('utf8')
  const at = pair.indexOf(':')
  return at < 0 ? undefined : pair.slice(at + 1)
}
