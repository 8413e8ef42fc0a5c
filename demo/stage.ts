/** Everything that the demo needs, started on free ports of this machine, and gone without a trace afterwards. */
import { createHash, randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createOperatorToken } from '../src/broker/create-operator-token.ts'
import type { RunningServer } from '../src/server.ts'
import {
  createInstallation,
  type Installation,
  RESOURCE_SERVER,
  startBroker,
} from '../test/fakes/installation.ts'
import { type MayflyClient, mayflyAt } from './mayfly-client.ts'
import { type Providers, providersAt } from './providers.ts'
import { type ResourceServer, startResourceServer } from './resource-server.ts'

export type Stage = Providers & {
  /** Identity provider, SPIFFE authority, GitHub and AWS, and Mayfly's configuration for them. */
  installation: Installation
  broker: RunningServer
  mayfly: MayflyClient
  operatorToken: string
  /** The API that the agents' JWTs are for. */
  orders: ResourceServer
  /** An API of another team, with an audience of its own. */
  payroll: ResourceServer
  close(): Promise<void>
}

export async function openStage(): Promise<Stage> {
  await using opened = new AsyncDisposableStack()
  const installation = await createInstallation()
  opened.defer(() => installation.close())
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

  const { github, aws, clock } = installation
  const all = opened.move()
  return {
    ...providersAt({ githubUrl: github.url, awsUrl: aws.url, now: clock.now }),
    installation,
    broker,
    mayfly: mayflyAt(broker.url),
    operatorToken: token.reveal(),
    orders,
    payroll,
    close: () => all.disposeAsync(),
  }
}

/** One file for each API that may ask Mayfly about tokens: JSON is YAML, too. */
async function register(
  { directory }: Installation,
  { id, secret }: { id: string; secret: string },
  audience: string,
): Promise<void> {
  const secret_sha256 = createHash('sha256').update(secret).digest('hex')
  const path = join(directory, 'resource-servers', `${id}.yaml`)
  await writeFile(path, JSON.stringify({ name: id, audience, secret_sha256 }))
}
