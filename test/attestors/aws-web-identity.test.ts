import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { awsWebIdentity } from '../../attestors/aws-web-identity.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import { createIssuerSubject } from './issuer-subject.ts'
import { openTypedStage, type TypedStage } from './typed-stage.ts'

const ACCOUNT = '123456789012'
const NAMESPACE = 'https://sts.amazonaws.com/'
const facts = {
  aws_account: ACCOUNT,
  source_region: 'eu-central-1',
  org_id: 'o-a1b2c3d4e5',
  ou_path: ['o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/'],
  principal_tags: { team: 'payments', 'cost center': '12' },
  request_tags: { role: 'admin' },
}
const CLAIMS = { sub: `arn:aws:iam::${ACCOUNT}:role/ci/Release`, [NAMESPACE]: facts }

describeAttestor('aws-web-identity', () =>
  createIssuerSubject(awsWebIdentity, CLAIMS, {
    settings: () => ({ account: ACCOUNT }),
    badSubject: { sub: `arn:aws:sts::${ACCOUNT}:assumed-role/Release/session` },
  }),
)

let stage: TypedStage
beforeAll(async () => {
  stage = await openTypedStage(awsWebIdentity, CLAIMS, () => ({ account: ACCOUNT }))
})
afterAll(() => stage.close())

test('a role is proven with its account, organisation and tags', async () => {
  expect(await stage.attest()).toMatchObject({
    ok: true,
    proof: {
      subject: CLAIMS.sub,
      claims: {
        ...{ aws_account: ACCOUNT, source_region: 'eu-central-1', org_id: 'o-a1b2c3d4e5' },
        ...{ principal_tag_team: 'payments', 'principal_tag_cost center': '12' },
      },
      replay: { singleUse: true },
    },
  })
})

// W5: they are whatever the caller wrote into its request.
test('tags of the request are not passed on, under whatever name', async () => {
  const verdict = await stage.attest({ [NAMESPACE]: { ...facts, role: 'admin' } })
  expect(JSON.stringify(verdict.ok && verdict.proof.claims)).not.toContain('admin')
})

describe('refused', () => {
  test.each([
    ['an account that is not the configured one', { aws_account: '999999999999' }, 'issuer_not_trusted'],
    ['an account as a number', { aws_account: 123456789012 }, 'claim_malformed'],
    ['no account', { aws_account: undefined }, 'claim_missing'],
    ['an organisation in another form', { org_id: 'acme' }, 'claim_malformed'],
    ['tags that are a list', { principal_tags: ['team'] }, 'claim_malformed'],
    ['a tag that is no text', { principal_tags: { team: 7 } }, 'claim_malformed'],
    [
      'more tags than AWS has',
      { principal_tags: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`t${n}`, 'x'])) },
      'claim_malformed',
    ],
  ])('%s', async (_what, change, rejection) => {
    const wanted = Object.entries({ ...facts, ...change }).filter(([, value]) => value !== undefined)
    expect(await stage.attest({ [NAMESPACE]: Object.fromEntries(wanted) })).toMatchObject({ rejection })
  })

  test.each([
    [`arn:aws:sts::${ACCOUNT}:assumed-role/Release/session`, 'subject_not_acceptable'],
    ['arn:aws:iam::999999999999:role/ci/Release', 'issuer_not_trusted'],
    ['Release', 'subject_not_acceptable'],
  ])('the subject %s', async (sub, rejection) => {
    expect(await stage.attest({ sub })).toMatchObject({ rejection })
  })
})
