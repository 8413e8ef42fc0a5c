/** Everything that the demo needs, started on free ports of this machine, and gone without a trace afterwards. */
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { createOperatorToken } from '../src/broker/people/create-operator-token.ts'
import type { RunningServer } from '../src/server.ts'
import { RESOURCE_SERVER, startBroker } from '../test/fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../test/fakes/people.ts'
import { doorsFor } from './doors.ts'
import { canServeGit } from './git-host.ts'
import { type MayflyClient, mayflyAt } from './mayfly-client.ts'
import { ADA, CLEO, OLGA, PAUL, VERA } from './people.ts'
import { type Providers, providersAt } from './providers.ts'
import { type ResourceServer, startResourceServer } from './resource-server.ts'
import { type SecondTerminal, secondTerminal } from './second-terminal.ts'

export type Stage = Providers & {
  /** Identity providers, SPIFFE authority, GitHub and AWS, and Mayfly's configuration for them. */
  installation: PeopledInstallation
  broker: RunningServer
  mayfly: MayflyClient
  operatorToken: string
  /** The API that the agents' JWTs are for. */
  orders: ResourceServer
  /** An API of another team, with an audience of its own. */
  payroll: ResourceServer
  /** Who owns the agents. */
  olga: SecondTerminal
  /** A release manager of another team. */
  cleo: SecondTerminal
  /** Whether a git of this machine can be GitHub's. */
  servesGit: boolean
  close(): Promise<void>
}

/** The rules of the demo, as they are shown on screen. */
export const POLICIES = join(import.meta.dirname, 'policies.cedar')

export async function openStage(): Promise<Stage> {
  await using opened = new AsyncDisposableStack()
  const installation = await createPeopledInstallation({ people: [OLGA, CLEO, VERA, PAUL, ADA] })
  opened.defer(() => installation.close())
  await configure(installation)
  const payrollApi = { id: 'payroll-api', secret: randomUUID() }
  await register(installation, payrollApi, 'https://payroll.example.com')

  const broker = await startBroker(installation)
  opened.defer(() => broker.stop())
  const mayflyUrl = broker.url
  const orders = await startResourceServer({ name: 'orders API', mayflyUrl, ...RESOURCE_SERVER })
  opened.defer(() => orders.close())
  const payroll = await startResourceServer({ name: 'payroll API', mayflyUrl, ...payrollApi })
  opened.defer(() => payroll.close())
  const { token } = await createOperatorToken(broker.broker, 'demo')

  const { github, aws, clock, people, directory } = installation
  const terminalOf = (id: string, who: string) => {
    const home = join(directory, 'home', id)
    const env = { MAYFLY_OPERATOR_URL: broker.url }
    return secondTerminal({ who, human: people.human(id), home, env, now: clock.now })
  }
  const all = opened.move()
  return {
    ...providersAt({ githubUrl: github.url, awsUrl: aws.url, now: clock.now }),
    installation,
    broker,
    mayfly: mayflyAt(broker.url),
    operatorToken: token.reveal(),
    orders,
    payroll,
    olga: terminalOf(OLGA.id, OLGA.name),
    cleo: terminalOf(CLEO.id, CLEO.name),
    servesGit: await canServeGit(),
    close: () => all.disposeAsync(),
  }
}

/**
 * What the demo has besides: policies; doors for clients of AWS and of octo-sts; a namespace for a platform team;
 * and two more agents, one that works at night, and one that works unattended and is trusted least.
 */
async function configure(installation: PeopledInstallation): Promise<void> {
  const { agents, directory } = installation
  await mkdir(join(directory, 'policies'))
  await copyFile(POLICIES, join(directory, 'policies', 'demo.cedar'))
  const byNight = { repository_id: '1', ref: 'refs/heads/main', event_name: 'schedule' }
  const unattended = [{ attestor: 'spire', subject: 'spiffe://acme.test/agent/upgrader' }]
  await installation.configure({
    settings: { ...(await ownAddress()), policies_dir: 'policies', ...doorsFor(installation) },
    agents: {
      coder: { ...agents.coder, risk_tier: 'medium' },
      nightly: {
        ...{ ...agents.release, purpose: 'Keeps what was built in the night' },
        attest: [{ attestor: 'actions', claims: byNight }],
      },
      upgrader: {
        ...{ ...agents.coder, purpose: 'Upgrades what the api depends on, unattended', attest: unattended },
        ...{ risk_tier: 'high', may_delegate_to: [] },
      },
    },
  })
}

/** What clients are told of it (discovery, proofs that are bound to a URL) is where it is: a port that is free just now. */
async function ownAddress() {
  const [server, host] = [createServer(), '127.0.0.1']
  await once(server.listen(0, host), 'listening')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  return { listen: { host, port }, public_url: `http://${host}:${port}` }
}

/** One file for each API that may ask Mayfly about tokens: JSON is YAML, too. */
async function register(
  { directory }: PeopledInstallation,
  { id, secret }: { id: string; secret: string },
  audience: string,
): Promise<void> {
  const secret_sha256 = createHash('sha256').update(secret).digest('hex')
  const path = join(directory, 'resource-servers', `${id}.yaml`)
  await writeFile(path, JSON.stringify({ name: id, audience, secret_sha256 }))
}
