/** What this workload proves itself with, found in its surroundings. Never taken from the command line. */
import { Secret } from '../../issuers/shared/secret.ts'
import { isLoopback } from '../config/settings.ts'
import { given } from './broker-url.ts'
import { CLI_LIMITS } from './limits.ts'
import { readCapped } from './read-capped.ts'
import { CommandError, EXIT, errorCode, sleep, type Terminal } from './terminal.ts'

export type EvidenceOption = { evidenceFile?: string }

/** Variables with which a workload can prove itself again; a child is not given them. */
export const EVIDENCE_VARIABLES = [
  'ACTIONS_ID_TOKEN_REQUEST_URL',
  'ACTIONS_ID_TOKEN_REQUEST_TOKEN',
  'MAYFLY_EVIDENCE_FILE',
] as const

export const EVIDENCE_HELP = `Evidence, the first of:
  --evidence-file FILE, or - for stdin   a file with a JWT, a JWT-SVID for example
  MAYFLY_EVIDENCE_FILE                   the same
  a GitHub Actions job                   with permissions: id-token: write
The audience of a job's token is MAYFLY_AUDIENCE, or the address of the broker.`

/** @param url the broker's address, the audience where none is set. @throws CommandError that lists the ways */
export async function findEvidence(
  terminal: Terminal,
  url: string,
  { evidenceFile }: EvidenceOption,
): Promise<Secret> {
  const { env } = terminal
  const file = evidenceFile ?? given(env.MAYFLY_EVIDENCE_FILE)
  if (file !== undefined) return jwtFrom(await readEvidence(terminal, file), file === '-' ? 'stdin' : file)
  const request = given(env.ACTIONS_ID_TOKEN_REQUEST_URL)
  const bearer = given(env.ACTIONS_ID_TOKEN_REQUEST_TOKEN)
  if (request !== undefined && bearer !== undefined)
    return askRunner(terminal, request, new Secret(bearer), given(env.MAYFLY_AUDIENCE) ?? url)
  const inActions = env.GITHUB_ACTIONS === 'true'
  throw new CommandError(
    inActions
      ? 'this job cannot prove what it is: it has no ID token to ask for.\n' +
          '  Give the job   permissions: { id-token: write }   in its workflow.'
      : `there is nothing to prove what this workload is.\n${EVIDENCE_HELP.replaceAll(/^/gm, '  ')}`,
    { exitCode: EXIT.usage },
  )
}

async function readEvidence(terminal: Terminal, file: string): Promise<string> {
  try {
    return file === '-'
      ? await terminal.readStdin(CLI_LIMITS.evidenceBytes)
      : (await terminal.readFile(file, CLI_LIMITS.evidenceBytes)).text
  } catch (cause) {
    throw new CommandError(
      `the evidence in ${file === '-' ? 'stdin' : file} cannot be read (${errorCode(cause)})`,
      { cause },
    )
  }
}

/**
 * GitHub's runner hands out ID tokens of its job (docs.github.com, "OpenID Connect reference"): GET, with the
 * audience as one more parameter of the URL it gave, answers `{ "value": "<jwt>" }`.
 */
async function askRunner(
  terminal: Terminal,
  request: string,
  bearer: Secret,
  audience: string,
): Promise<Secret> {
  const url = URL.parse(`${request}&audience=${encodeURIComponent(audience)}`)
  if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))))
    throw new CommandError('ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL')
  for (let attempt = 1; ; attempt += 1) {
    const answer = await askOnce(terminal, url, bearer)
    if ('token' in answer) return jwtFrom(answer.token, "the runner's answer")
    if (attempt === CLI_LIMITS.attempts || !answer.again)
      throw new CommandError(`the runner gave no ID token: ${answer.why}`, { exitCode: EXIT.unavailable })
    await sleep(terminal, CLI_LIMITS.backoffBaseMs * 2 ** attempt)
  }
}

async function askOnce(
  { fetch }: Terminal,
  url: URL,
  bearer: Secret,
): Promise<{ token: string } | { why: string; again: boolean }> {
  try {
    const response = await fetch(url, {
      redirect: 'error',
      signal: AbortSignal.timeout(CLI_LIMITS.oidcRequestMs),
      headers: { accept: 'application/json', authorization: `bearer ${bearer.reveal()}` },
    })
    const text = await readCapped(response, CLI_LIMITS.oidcAnswerBytes)
    if (response.status !== 200)
      return { why: `status ${response.status}`, again: response.status >= 500 || response.status === 429 }
    const { value } = JSON.parse(text) as { value?: unknown }
    return typeof value === 'string' ? { token: value } : { why: 'its answer has no value', again: false }
  } catch (error) {
    // What JSON.parse says quotes the answer; only the kind of error is told.
    return {
      why: error instanceof SyntaxError ? 'its answer is not JSON' : 'it does not answer',
      again: true,
    }
  }
}

/** The compact form of a JWS (RFC 7515 section 3.1), with white space around it dropped. */
function jwtFrom(text: string, where: string): Secret {
  const token = text.trim()
  if (token.length <= CLI_LIMITS.evidenceBytes && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token))
    return new Secret(token)
  throw new CommandError(
    `${where} does not hold a JWT (three parts of base64url, at most ${CLI_LIMITS.evidenceBytes} bytes, and nothing else)`,
    { exitCode: EXIT.usage },
  )
}
