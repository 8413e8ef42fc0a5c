/** Settings that let in what people already run, and a team that registers for itself. */
import { AUDIENCE, type Installation } from '../test/fakes/installation.ts'

/** What workflows of octo-sts ask their tokens for. */
export const OCTO_STS_DOMAIN = 'mayfly.test'
export const PAYMENTS = 'https://payments.example.com'

/** Its policy file for the identity `deploy` of acme/api: as octo-sts has it. */
export const OCTO_STS_POLICY = {
  path: '.github/chainguard/deploy.sts.yaml',
  text: (issuer: string) =>
    `issuer: ${issuer}\nsubject: repo:acme/api:ref:refs/heads/main\npermissions:\n  contents: read\n`,
}

export function doorsFor({ identityProvider }: Pick<Installation, 'identityProvider'>) {
  const { issuer } = identityProvider
  const owner = {
    ...{ issuer: 'github', attestors: ['octo-sts'], risk_tier: 'medium' },
    owner: { business: 'product@acme.test', technical: 'platform@acme.test' },
    ceiling: { permissions: { contents: 'write', issues: 'write' } },
    expires_at: '2040-01-01T00:00:00Z',
    trusted_issuers_file: false,
  }
  return {
    attestors: {
      actions: { type: 'github-actions', issuer, audience: AUDIENCE },
      'octo-sts': { type: 'github-actions', issuer, audience: OCTO_STS_DOMAIN },
      spire: {
        ...{ type: 'spiffe-jwt', trust_domain: 'acme.test', audience: AUDIENCE },
        bundle_file: 'bundle.json',
      },
    },
    sts_endpoint: { path: '/sts', issuers: ['aws'] },
    octo_sts: { domain: OCTO_STS_DOMAIN, namespace: 'octo', owners: { acme: owner } },
    namespaces: {
      octo: { owners: ['mayfly-platform'], issuers: ['github'] },
      payments: {
        ...{ owners: ['payments'], issuer_types: ['signed-jwt'], attestors: ['actions'] },
        audiences: [PAYMENTS],
      },
    },
  }
}
