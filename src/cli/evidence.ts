/** What this workload proves itself with, found in its surroundings. Never taken from the command line. */
import { Secret } from '../../issuers/shared/secret.ts'
import { askRunner, jwtFrom, type Presented } from '../client/evidence.ts'
import { MayflyError } from '../client/mayfly-error.ts'
import { given } from './broker-url.ts'
import { certificateFiles } from './certified-fetch.ts'
import { CLI_LIMITS } from './limits.ts'
import { CommandError, EXIT, errorCode, type Terminal, usageError } from './terminal.ts'

export type EvidenceOption = { evidenceFile?: string }

export const EVIDENCE_HELP = `Evidence, the first of:
  --evidence-file FILE, or - for stdin   a file with a JWT, a JWT-SVID for example
  MAYFLY_EVIDENCE_FILE                   the same
  MAYFLY_CLIENT_CERT_FILE, ..._KEY_FILE  PEM, shown to the broker at MAYFLY_URL: an X.509-SVID
  a GitHub Actions job                   with permissions: id-token: write
The audience of a job's token is MAYFLY_AUDIENCE, or the address of the broker.
On your own machine: mayfly exec, agent and mcp --sign-in, with no evidence at all (docs/laptops.md).`

/** What is presented: a token, or the certificate that every connection to the broker shows. */
export async function presentEvidence(
  terminal: Terminal,
  url: string,
  options: EvidenceOption,
): Promise<Presented> {
  const { env } = terminal
  const isNamed = (options.evidenceFile ?? given(env.MAYFLY_EVIDENCE_FILE)) !== undefined
  if (!isNamed && certificateFiles(env) !== undefined) return { type: 'client_certificate' }
  const [cert, key] = [given(env.MAYFLY_CLIENT_CERT_FILE), given(env.MAYFLY_CLIENT_KEY_FILE)]
  if ((cert === undefined) !== (key === undefined))
    throw usageError('MAYFLY_CLIENT_CERT_FILE and MAYFLY_CLIENT_KEY_FILE come together')
  return (await findEvidence(terminal, url, options)).reveal()
}

/** @param url the broker's address, the audience where none is set. @throws CommandError that lists the ways */
export async function findEvidence(
  terminal: Terminal,
  url: string,
  { evidenceFile }: EvidenceOption,
): Promise<Secret> {
  const { env } = terminal
  const file = evidenceFile ?? given(env.MAYFLY_EVIDENCE_FILE)
  if (file !== undefined) {
    const text = await readEvidence(terminal, file)
    return asSecret(() => jwtFrom(text, file === '-' ? 'stdin' : file))
  }
  const request = given(env.ACTIONS_ID_TOKEN_REQUEST_URL)
  const bearer = given(env.ACTIONS_ID_TOKEN_REQUEST_TOKEN)
  if (request !== undefined && bearer !== undefined) {
    const audience = given(env.MAYFLY_AUDIENCE) ?? url
    return asSecret(() => askRunner(terminal, { url: request, bearer: new Secret(bearer), audience }))
  }
  const inActions = env.GITHUB_ACTIONS === 'true'
  throw new CommandError(
    inActions
      ? 'this job cannot prove what it is: it has no ID token to ask for.\n' +
          '  Give the job   permissions: { id-token: write }   in its workflow.'
      : `there is nothing to prove what this workload is.\n${EVIDENCE_HELP.replaceAll(/^/gm, '  ')}`,
    { exitCode: EXIT.usage },
  )
}

/** The ID token of the human on whose behalf, where a file is named. */
export async function readHuman(
  terminal: Terminal,
  { onBehalfOfFile: file }: { onBehalfOfFile?: string },
): Promise<Secret | undefined> {
  if (file === undefined) return undefined
  const text = await readEvidence(terminal, file)
  return asSecret(() => jwtFrom(text, file))
}

/** The text as it is. @param file or - for stdin. @throws CommandError */
export async function readEvidence(terminal: Terminal, file: string): Promise<string> {
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

/** What the client says of evidence, for a person. @throws CommandError */
async function asSecret(token: () => string | Promise<string>): Promise<Secret> {
  try {
    return new Secret(await token())
  } catch (error) {
    if (!(error instanceof MayflyError)) throw error
    throw new CommandError(error.message, { exitCode: EXIT_CODES[error.code] ?? EXIT.failure })
  }
}

const EXIT_CODES: Readonly<Record<string, number>> = {
  evidence_malformed: EXIT.usage,
  evidence_unavailable: EXIT.unavailable,
}
