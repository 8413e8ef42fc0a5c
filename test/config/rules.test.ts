/** What each attestor says that rules may rely on, against agents that rely on it. */
import { expect, test } from 'vitest'
import { attestorTypes } from '../../attestors/index.ts'
import { parseInstances } from '../../src/config/instances.ts'
import { ruleProblems } from '../../src/config/rule-problems.ts'
import { parseYaml } from '../../src/config/yaml-file.ts'

const INSTANCES = {
  gitlab: { type: 'gitlab-ci', audience: 'a' },
  google: { type: 'google-cloud', audience: 'a' },
  aws: { type: 'aws-web-identity', audience: 'a', issuer: 'https://x.example', account: '123456789012' },
  cluster: { type: 'kubernetes', audience: 'a', issuer: 'https://kubernetes.default.svc' },
  sandbox: {
    ...{ type: 'signed-statement', issuer: 'https://sandbox.example', audience: 'a', about: 'key' },
    claims: { network: 'string', cpus: 'integer' },
  },
}

type Rule = { subject?: string[]; claims?: Record<string, string | number> }
type Attestor = keyof typeof INSTANCES

function problemsOf(attestor: Attestor, rule: Rule): string[] {
  const file = parseYaml('agents/x.yaml', 'attest: []\n')
  const instances = parseInstances(file, 'attestors', INSTANCES, attestorTypes)
  if (!instances.ok) throw new Error(instances.problems.map(one => one.expected).join('; '))
  const claims = Object.fromEntries(Object.entries(rule.claims ?? {}).map(([name, one]) => [name, [one]]))
  const shape = { attest: [{ attestor, ...rule, claims }] } as Parameters<typeof ruleProblems>[1]
  return ruleProblems(file, shape, instances.value).map(one => one.expected)
}

const ARN = 'arn:aws:iam::123456789012:role/Release'

test.each<[Attestor, Rule]>([
  ['gitlab', { claims: { project_id: '501', ref: 'main', ref_protected: 'true' } }],
  ['gitlab', { claims: { namespace_id: '77', environment: 'production', environment_protected: 'true' } }],
  ['google', { subject: ['117302847561029384756'], claims: { zone: 'a', project_number: 7 } }],
  ['aws', { subject: [ARN], claims: { principal_tag_team: 'payments' } }],
  ['cluster', { subject: ['system:serviceaccount:release:coder'] }],
  ['cluster', { claims: { service_account: 'coder', namespace: 'release' } }],
  ['cluster', { claims: { service_account_uid: 'b1c2' } }],
  ['cluster', { claims: { service_account_uid: 'b1c2', 'sandbox.network': 'none', 'sandbox.cpus': 2 } }],
])('%s takes %j', (attestor, rule) => {
  expect(problemsOf(attestor, rule)).toEqual([])
})

test.each<[Attestor, Rule, RegExp]>([
  ['gitlab', { claims: { project_path: 'acme/api' } }, /project_id or namespace_id/],
  ['gitlab', { claims: { project_id: '501', ref: 'main' } }, /ref_protected beside it/],
  ['gitlab', { claims: { project_id: '501', environment: 'production' } }, /environment_protected beside/],
  ['gitlab', { claims: { project_id: 501 } }, /expected text/],
  ['google', { claims: { email: 'a@b.iam.gserviceaccount.com' } }, /subjects like 1173/],
  ['google', { subject: ['a@b.iam.gserviceaccount.com'] }, /subjects like 1173/],
  ['google', { subject: ['117302847561029384756'], claims: { instance_name: 'x' } }, /project_number beside/],
  ['aws', { claims: { aws_account: '123456789012' } }, /subjects like arn/],
  ['cluster', { claims: { namespace: 'release' } }, /service_account_uid or service_account/],
  ['cluster', { claims: { service_account: 'coder' } }, /namespace beside it/],
  ['cluster', { claims: { service_account_uid: 'b1c2', 'sandbox.cpus': '2' } }, /expected a whole number/],
  [
    'cluster',
    { claims: { service_account_uid: 'b1c2', 'sandbox.net': 'none' } },
    /claims of sandbox: sandbox.network/,
  ],
  ['sandbox', { claims: { network: 'none' } }, /an attestor of identities/],
])('%s refuses %j', (attestor, rule, expected) => {
  const problems = problemsOf(attestor, {
    ...rule,
    ...('subject' in rule ? { subject: [...rule.subject] } : {}),
  })
  expect(problems).toEqual([expect.stringMatching(expected)])
})
