/** A whole installation with Cedar policies and humans who sign in: what waits for them, and what they answer. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { bindingOf, type Verb } from '../../src/broker/approvals/answer-approval.ts'
import type { RunningServer } from '../../src/server.ts'
import type { Person } from '../fakes/identity/operator-provider.ts'
import { type ConfigChanges, ORDERS } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { type Answer, type Api, createApi, type OpenedTask } from './api.ts'
import { operatorTokenOf } from './operator.ts'

/** Signed for by the issuer `jwt`, beside {@link ORDERS}: whoever holds it deploys. */
export const DEPLOY = 'https://deploy.example.com'

export const ALL = '@id("all") permit(principal, action in Mayfly::Action::"*:*", resource);'

/** Two in each group, Max in two of them, Olga who owns the agents, Vic who may not approve. */
const ANSWERING: readonly Person[] = [
  { id: 'lea', groups: ['mayfly-approver', 'leads'] },
  { id: 'lou', groups: ['mayfly-approver', 'leads'] },
  { id: 'sam', groups: ['mayfly-approver', 'security'] },
  { id: 'sue', groups: ['mayfly-approver', 'security'] },
  { id: 'max', groups: ['mayfly-approver', 'leads', 'security'] },
  { id: 'olga', groups: ['mayfly-approver', 'leads', 'product@acme.test'] },
  { id: 'out', groups: ['mayfly-approver'] },
  { id: 'vic', groups: ['mayfly-viewer', 'leads'] },
]

export type Ruled = PeopledInstallation & {
  /** All of the policies, in place of what was there; a broker that runs is to be reloaded. */
  rules(...texts: string[]): Promise<void>
}

export async function createRuledInstallation(changes: ConfigChanges = {}): Promise<Ruled> {
  const installation = await createPeopledInstallation({ people: ANSWERING })
  const { directory, configPath, agents } = installation
  const policies = join(directory, 'policies')
  const { issuers } = parse(await readFile(configPath, 'utf8'))
  const audiences = [...issuers.jwt.audiences, { audience: DEPLOY, scopes: ['go'], phase: 'deploy' }]
  const settings = {
    policies_dir: 'policies',
    issuers: { ...issuers, jwt: { ...issuers.jwt, audiences } },
  }
  const rules = async (...texts: string[]) => {
    await rm(policies, { recursive: true, force: true })
    await mkdir(policies)
    for (const [index, text] of texts.entries()) await writeFile(join(policies, `${index}.cedar`), text)
  }
  await rules(ALL)
  const more = {
    jwt: [
      { audience: ORDERS, scopes: ['orders.read'] },
      { audience: DEPLOY, scopes: ['go'] },
    ],
  }
  const widened = Object.fromEntries(
    Object.entries(agents).map(([name, agent]) => [
      name,
      { ...agent, ceiling: { ...(agent.ceiling as object), ...more } },
    ]),
  )
  const configure = (next: ConfigChanges) =>
    installation.configure({
      agents: { ...widened, ...next.agents },
      settings: { ...settings, ...next.settings },
    })
  await configure(changes)
  return { ...installation, agents: widened, configure, rules }
}

export type Waiting = { task: OpenedTask; ask: string; approval: string }

export type Desk = {
  api: Api
  /** Opens with an ask that waits; throws where it does not. */
  waiting(wanted: object, extra?: Record<string, unknown>): Promise<Waiting>
  show(approval: string): Promise<Answer>
  /** Signs in for exactly what is shown, and answers. */
  answer(verb: Verb, approval: string, who: string): Promise<Answer>
  approve(approval: string, who: string): Promise<Answer>
}

export async function createDesk(server: RunningServer, installation: PeopledInstallation): Promise<Desk> {
  const api = createApi(server, installation)
  const operator = await operatorTokenOf(server)
  const desk: Desk = {
    api,
    async waiting(wanted, extra = {}) {
      const evidence = extra.evidence ?? { type: 'jwt', token: await installation.jobToken() }
      const body = { purpose: 'a release', authorization_details: [wanted], ...extra, evidence }
      const answer = await api.call('POST', '/v1/tasks', undefined, body)
      if (answer.status !== 202) throw new Error(`does not wait: ${JSON.stringify(answer.body)}`)
      const [{ id: approval, ask }] = answer.body.task.approvals
      const { task, task_token: token } = answer.body
      return { task: { id: task.id, token, asks: [ask], answer }, ask, approval }
    },
    show: id => api.call('GET', `/v1/approvals/${id}`, operator),
    async answer(verb, id, who) {
      const boundTo = bindingOf(verb, (await desk.show(id)).body)
      const id_token = await installation.signInAs(who, { boundTo })
      return api.call('POST', `/v1/approvals/${id}/${verb}`, undefined, { id_token, reason: 'seen' })
    },
    approve: (id, who) => desk.answer('approve', id, who),
  }
  return desk
}
