import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { googleCloud } from '../../attestors/google-cloud.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import { createIssuerSubject } from './issuer-subject.ts'
import { openTypedStage, type TypedStage } from './typed-stage.ts'

/** What the metadata server of a virtual machine answers with `format=full`. It has no jti. */
const CLAIMS = {
  sub: '117302847561029384756',
  azp: '117302847561029384756',
  email: 'release@acme-prod.iam.gserviceaccount.com',
  email_verified: true,
  google: {
    compute_engine: {
      project_id: 'acme-prod',
      project_number: 739182645091,
      zone: 'europe-west3-a',
      instance_id: '4152637485960718293',
      instance_name: 'runner-7',
      instance_creation_timestamp: 1795000000,
      license_id: ['1000'],
    },
  },
}

describeAttestor('google-cloud', () =>
  createIssuerSubject(googleCloud, CLAIMS, {
    settings: issuer => ({ jwks_uri: `${issuer}/keys` }),
    badSubject: { sub: 'release@acme-prod.iam.gserviceaccount.com' },
  }),
)

let stage: TypedStage
beforeAll(async () => {
  stage = await openTypedStage(googleCloud, CLAIMS, issuer => ({ jwks_uri: `${issuer}/jwks` }))
})
afterAll(() => stage.close())

test('a machine is proven with its service account and where it stands', async () => {
  expect(await stage.attest({ jti: undefined })).toMatchObject({
    ok: true,
    proof: {
      subject: CLAIMS.sub,
      claims: {
        email: CLAIMS.email,
        email_verified: true,
        project_id: 'acme-prod',
        project_number: 739182645091,
        instance_id: '4152637485960718293',
      },
      // The metadata server hands a token out again.
      replay: { singleUse: false },
    },
  })
})

test('without format=full nothing is said of a machine', async () => {
  const verdict = await stage.attest({ google: undefined })
  expect(verdict.ok && Object.keys(verdict.proof.claims)).toEqual(['azp', 'email', 'email_verified'])
})

describe('refused', () => {
  test.each([
    ['email_verified', false, 'claim_malformed'],
    ['email_verified', undefined, 'claim_malformed'],
    ['email_verified', 'true', 'claim_malformed'],
    ['sub', 'release@acme-prod.iam.gserviceaccount.com', 'subject_not_acceptable'],
    ['google', { compute_engine: { project_number: '739182645091' } }, 'claim_malformed'],
    ['google', { compute_engine: { instance_id: 4152637485 } }, 'claim_malformed'],
  ])('%s of %j', async (name, value, rejection) => {
    expect(await stage.attest({ [name]: value })).toMatchObject({ rejection })
  })

  test("an application's client id as audience, for which humans get tokens too", () => {
    const audience = '1234-abc.apps.googleusercontent.com'
    expect(googleCloud.settings.safeParse({ audience }).error?.issues[0]?.path).toEqual(['audience'])
  })
})
