/** Tokens of the issuers of docs/attestors, as their documentation shows them; and what a rule must not take. */
import { githubClaims } from '../fakes/identity/github-claims.ts'

export type Sample = {
  /** Beside iss, aud, iat, nbf and exp. */
  claims: Record<string, unknown>
  /** From `iat` to `exp`. */
  lifeS: number
  /** Where the issuer's discovery sends for keys, where it is not `ISSUER/keys`. */
  jwksUri?: string
  /** The header beside alg and kid. */
  header?: Record<string, unknown>
  /** Changes after which the page's agent is not matched any more. */
  strangers: readonly Record<string, unknown>[]
}

const pod = { name: 'coder-7f9c', uid: 'b1c2d3e4-0000-4000-8000-000000000001' }
const serviceaccount = { name: 'coder', uid: 'b1c2d3e4-0000-4000-8000-000000000002' }
const podToken = (account: object = {}) => ({
  sub: 'system:serviceaccount:release:coder',
  'kubernetes.io': { namespace: 'release', pod, serviceaccount: { ...serviceaccount, ...account } },
})

/** By the name that the page gives to the attestor. */
export const SAMPLES: Readonly<Record<string, Sample>> = {
  ci: {
    claims: { sub: 'runner', jti: 'a', project_id: '501-a', run: 12, protected: true },
    lifeS: 300,
    strangers: [{ project_id: '502-a' }, { protected: false }, { protected: undefined }],
  },
  actions: {
    claims: { ...githubClaims(), jti: 'a' },
    lifeS: 300,
    strangers: [
      { repository_id: '502', sub: 'other' },
      { ref: 'refs/heads/dev' },
      { event_name: 'pull_request_target' },
    ],
  },
  gitlab: {
    claims: {
      ...{
        sub: 'project_path:acme/api:ref_type:branch:ref:main',
        jti: 'a',
        namespace_id: '77',
        namespace_path: 'acme',
      },
      ...{
        project_id: '501',
        project_path: 'acme/api',
        pipeline_id: '9',
        pipeline_source: 'push',
        job_id: '8',
      },
      ...{ ref: 'main', ref_type: 'branch', ref_protected: 'true', runner_id: 12 },
    },
    lifeS: 3600,
    strangers: [
      { project_id: '502' },
      { ref_protected: 'false' },
      { pipeline_source: 'merge_request_event' },
    ],
  },
  cluster: {
    claims: { ...podToken(), jti: 'a' },
    lifeS: 600,
    strangers: [podToken({ uid: 'another' })],
  },
  gcp: {
    claims: {
      ...{
        sub: '117302847561029384756',
        azp: '1',
        email: 'a@acme.iam.gserviceaccount.com',
        email_verified: true,
      },
      google: { compute_engine: { project_id: 'acme', project_number: 739182645091, instance_id: '41' } },
    },
    lifeS: 3600,
    strangers: [{ sub: '117302847561029384757' }, { google: undefined }],
  },
  'aws-production': {
    claims: {
      ...{ sub: 'arn:aws:iam::123456789012:role/ci/Release', jti: 'a' },
      'https://sts.amazonaws.com/': { aws_account: '123456789012', request_tags: { role: 'admin' } },
    },
    lifeS: 300,
    strangers: [{ sub: 'arn:aws:iam::123456789012:role/ci/Other' }],
  },
  buildkite: {
    claims: {
      sub: 'organization:acme:pipeline:api:ref:refs/heads/main:commit:b5ffe3aeea51cec6c41aef16e45ee6bce47d8810:step:',
      ...{ jti: '0194b014-8517-7cef-b232-76a827315f08', organization_slug: 'acme', pipeline_slug: 'api' },
      organization_id: '0184990a-477b-4fa8-9968-496074483c01',
      pipeline_id: '0184990a-4782-42b5-afc1-16715b10b8ff',
      ...{ build_number: 5, build_branch: 'main', build_tag: null, build_source: 'webhook', step_key: null },
      build_commit: 'b5ffe3aeea51cec6c41aef16e45ee6bce47d8810',
      ...{ job_id: '01945ecf', agent_id: '01945ecf', runner_environment: 'buildkite-hosted' },
    },
    lifeS: 300,
    jwksUri: 'https://agent.buildkite.com/.well-known/jwks',
    strangers: [
      { organization_id: '0184990a-477b-4fa8-9968-496074483c02' },
      { organization_id: undefined },
      { build_source: 'ui' },
    ],
  },
  circleci: {
    claims: {
      sub: 'org/c9035eb6-6eb2-4c85-8a81-d9ee6a1fa8c2/project/ecc458d2-fbdc-4d9a-93c4-ac065ed3c3ca/user/1',
      'oidc.circleci.com/project-id': 'ecc458d2-fbdc-4d9a-93c4-ac065ed3c3ca',
      'oidc.circleci.com/context-ids': ['58bef0c1-399d-49ca-a5ba-2f4317e4224d'],
      'oidc.circleci.com/vcs-origin': 'github.com/acme/api',
      'oidc.circleci.com/vcs-ref': 'refs/heads/main',
      'oidc.circleci.com/ssh-rerun': false,
    },
    lifeS: 3600,
    jwksUri: 'https://oidc.circleci.com/org/c9035eb6-6eb2-4c85-8a81-d9ee6a1fa8c2/.well-known/jwks-pub.json',
    strangers: [
      { 'oidc.circleci.com/vcs-origin': 'github.com/mallory/api' },
      { 'oidc.circleci.com/vcs-ref': 'refs/heads/pull/7' },
      { 'oidc.circleci.com/ssh-rerun': true },
    ],
  },
  bitbucket: {
    claims: {
      sub: '{8b0f0b4e-0000-4000-8000-000000000001}:{8b0f0b4e-0000-4000-8000-000000000009}',
      ...{ accountUuid: '{8b0f0b4e-0000-4000-8000-000000000003}', branchName: 'main' },
      workspaceUuid: '{8b0f0b4e-0000-4000-8000-000000000002}',
      repositoryUuid: '{8b0f0b4e-0000-4000-8000-000000000001}',
      ...{
        pipelineUuid: '{8b0f0b4e-0000-4000-8000-000000000004}',
        stepUuid: '{8b0f0b4e-0000-4000-8000-000000000009}',
      },
    },
    lifeS: 3600,
    jwksUri: 'https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc/keys.json',
    strangers: [
      { repositoryUuid: '8b0f0b4e-0000-4000-8000-000000000001' },
      { branchName: 'feature' },
      { branchName: undefined },
    ],
  },
  azure: {
    claims: {
      ...{ sub: '00a1b2c3-0000-4000-8000-000000000001', oid: '00a1b2c3-0000-4000-8000-000000000001' },
      ...{
        tid: '7fa18207-b300-4404-8081-662ebc77b08d',
        azp: '5b1c',
        uti: 'x',
        ver: '2.0',
        idtyp: 'app',
        rh: '0.',
      },
      xms_mirid:
        '/subscriptions/1/resourcegroups/prod/providers/Microsoft.ManagedIdentity/userAssignedIdentities/ci',
    },
    lifeS: 86_700,
    jwksUri: 'https://login.microsoftonline.com/7fa18207-b300-4404-8081-662ebc77b08d/discovery/v2.0/keys',
    header: { x5t: 'nOo3ZDrODXEK1jKWhXslHR_KXEg' },
    strangers: [{ oid: '00a1b2c3-0000-4000-8000-000000000002' }, { oid: undefined }],
  },
  'azure-v1': {
    claims: {
      ...{ sub: '00a1b2c3', oid: '00a1b2c3', tid: '7fa18207', appid: '5b1c', uti: 'x', ver: '1.0' },
    },
    lifeS: 86_700,
    jwksUri: 'https://login.windows.net/common/discovery/keys',
    header: { x5t: 'nOo3ZDrODXEK1jKWhXslHR_KXEg' },
    strangers: [],
  },
}
