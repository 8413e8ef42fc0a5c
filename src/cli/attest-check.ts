/** `mayfly attest check`: what is right and wrong with evidence. Nothing is opened, and it is not used up. */
import type { Evidence } from '../../attestors/attestor.ts'
import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { checkEvidence } from '../broker/tasks/check-evidence.ts'
import { withoutEvidence } from '../broker/tasks/without-evidence.ts'
import { loadConfig } from '../config.ts'
import { renderEvidenceCheck } from '../http/render-evidence-check.ts'
import { LIMITS } from '../limits.ts'
import { openAttestors, openIssuers, openOutbound } from '../open-plugins.ts'
import { type AttestReport, attestReport, describeReport } from './attest-report.ts'
import { given, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { findEvidence, readEvidence } from './evidence.ts'
import { failureOf } from './failure.ts'
import { readOperatorToken } from './operator-token.ts'
import { printJson } from './print.ts'
import { CommandError, type Terminal, usageError } from './terminal.ts'

type Options = {
  config: string
  evidenceFile?: string
  agent?: string
  broker?: string
  operatorTokenFile?: string
  json?: boolean
}

const EXIT_CODES = { matched: 0, statement: 1, unmatched: 1, rejected: 1, unavailable: 2 } as const

export async function attestCheck(terminal: Terminal, options: Options): Promise<void> {
  const report = await checked(terminal, options)
  if (options.json) printJson(terminal, report)
  else
    terminal.out(
      describeReport(report)
        .map(line => `${line}\n`)
        .join(''),
    )
  terminal.exitWith(EXIT_CODES[report.outcome])
}

/** @throws CommandError with the code of what could not be checked, whatever the cause: 1 would say that it is rejected */
async function checked(terminal: Terminal, options: Options): Promise<AttestReport> {
  try {
    return await (options.broker === undefined
      ? byConfiguration(terminal, options)
      : byBroker(terminal, options))
  } catch (cause) {
    const { said } = failureOf(cause)
    throw new CommandError(said.trim().replace(/^mayfly: /, ''), { exitCode: EXIT_CODES.unavailable, cause })
  }
}

async function byBroker(terminal: Terminal, { agent, ...options }: Options): Promise<AttestReport> {
  const url = operatorUrl(terminal, options)
  const operator = await readOperatorToken(terminal, options)
  const evidence = await evidenceOf(terminal, url, options)
  if (evidence.type !== 'jwt')
    throw usageError(
      'certificates are evidence of a connection: leave --broker away, and they are checked by the settings',
    )
  const body = { evidence, ...(agent === undefined ? {} : { agent }) }
  return createClient(terminal, url).call(
    { method: 'POST', path: '/v1/attestors/check', token: operator, body, whenLost: 'repeat' },
    attestReport,
  )
}

/** The configuration of `serve`, and the keys from wherever they are; no ledger, and nothing but attestors is asked. */
async function byConfiguration(
  terminal: Terminal,
  { config, agent, ...options }: Options,
): Promise<AttestReport> {
  const edge = await terminal.edge('silent')
  const loaded = await loadConfig(config, edge.files, {
    ...{ attestorTypes, issuerTypes },
    openIssuers: settings => openIssuers(settings, edge, nobody),
  })
  const evidence = await evidenceOf(terminal, loaded.settings.public_url, options)
  const outbound = openOutbound(loaded.settings, LIMITS)
  const attestors = openAttestors(loaded, edge, outbound.get)
  try {
    const agents = new Map(loaded.agents.map(one => [one.name, one] as const))
    const checking = { attestors, agents: () => agents, now: edge.now } satisfies Parameters<
      typeof checkEvidence
    >[0]
    const shown = renderEvidenceCheck(await checkEvidence(checking, evidence, agent), undefined)
    return attestReport.parse(withoutEvidence(shown, evidence))
  } finally {
    for (const attestor of attestors.values()) attestor.close?.()
    await outbound.close()
  }
}

/**
 * A file as it is, so that what is wrong with its form is told like all the rest; otherwise from the surroundings.
 * Certificates are in PEM, the leaf first; that their key is held is not looked at.
 */
async function evidenceOf(
  terminal: Terminal,
  url: string,
  { evidenceFile }: Pick<Options, 'evidenceFile'>,
): Promise<Evidence> {
  const file = evidenceFile ?? given(terminal.env.MAYFLY_EVIDENCE_FILE)
  if (file === undefined) return { type: 'jwt', token: (await findEvidence(terminal, url, {})).reveal() }
  const text = (await readEvidence(terminal, file)).trim()
  if (!text.startsWith('-----BEGIN CERTIFICATE-----')) return { type: 'jwt', token: text }
  const chain = [...text.matchAll(PEM)].map(
    ([, base64 = '']) => new Uint8Array(Buffer.from(base64, 'base64')),
  )
  return { type: 'certificates', chain }
}

const PEM = /-----BEGIN CERTIFICATE-----([\s\S]*?)-----END CERTIFICATE-----/g

/** Opening an issuer makes no call and no signature, so there is nothing to lend it here. */
const nobody: Pick<Parameters<typeof openIssuers>[2], 'fetch' | 'sign' | 'signIdentity'> = {
  fetch: () => Promise.reject(new Error('a check of evidence asks no provider')),
  sign: () => Promise.reject(new Error('a check of evidence signs nothing')),
  signIdentity: () => Promise.reject(new Error('a check of evidence signs nothing')),
}
