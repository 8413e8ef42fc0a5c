/** What is fuzzed: each attestor with settings, good claims, and what the provider promises of its tokens. */
import type { AttestorType } from '../../attestors/attestor.ts'
import { awsWebIdentity } from '../../attestors/aws-web-identity.ts'
import { githubActions } from '../../attestors/github-actions.ts'
import { gitlabCi } from '../../attestors/gitlab-ci.ts'
import { googleCloud } from '../../attestors/google-cloud.ts'
import { kubernetes } from '../../attestors/kubernetes.ts'
import { laptop } from '../../attestors/laptop.ts'
import { oidc } from '../../attestors/oidc.ts'
import type { Algorithm } from '../../attestors/shared/algorithms.ts'
import { signedStatement } from '../../attestors/signed-statement.ts'
import { spiffeJwt } from '../../attestors/spiffe-jwt.ts'
import { githubClaims } from '../fakes/identity/github-claims.ts'
import { at, type Claims, type Expectation, isNumeral, isUsable } from './fuzz-reference.ts'
import { AUDIENCE, NOON } from './issuer-subject.ts'

export type FuzzSubject = {
  type: AttestorType
  algorithm: Algorithm
  /** Of the header, where that is not JWT. */
  typ?: string
  settings: Record<string, unknown>
  /** Beside the registered ones. */
  claims: Record<string, unknown>
  /** Values that a careless reader takes for a good `sub`, and good ones. */
  subjects: readonly string[]
  expectation: Omit<Expectation, 'keys' | 'nowS'>
  /** Where a claim of the proof stands in the token. */
  pathOf: (claim: string) => readonly string[]
  /** Claims of the proof that stand nowhere in the token as they are, and what they have to be. */
  made?: Readonly<Record<string, (claims: Claims) => unknown>>
}

export const ISSUER = 'https://issuer.test'
const ACCOUNT = '123456789012'
const AWS = 'https://sts.amazonaws.com/'
const UID = 'b1c2d3e4-0000-4000-8000-00000000000'

const SIGN_IN = `mayfly-laptop-v1.${'k'.repeat(43)}.${'a'.repeat(64)}`

const byIssuer: Expectation['isOurs'] = (claims, { issuer }) => claims.get('iss') === issuer
const own = (claim: string) => [claim]
const isId = (value: unknown) => typeof value === 'string' && /^[1-9]\d{0,19}$/.test(value)
const idToken = {
  ...{ issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'], types: ['JWT'], uses: ['sig', undefined] },
  ...{ maxLifetimeS: 3600, maxAgeS: 300, needsIssuedAt: true, needsId: true, isOurs: byIssuer },
}
const common = { issuer: ISSUER, audience: AUDIENCE }

/** Those with ES256 come first: signing by it costs a tenth. */
export const FUZZ_SUBJECTS: readonly FuzzSubject[] = [
  {
    type: oidc,
    algorithm: 'ES256',
    settings: {
      ...{ ...common, algorithms: ['ES256', 'RS256'] },
      claims: { project: 'string', run: 'integer', tagged: 'boolean', groups: 'string_list' },
    },
    claims: { sub: 'runner', project: 'api', run: 12, tagged: true, groups: ['a', 'b'] },
    subjects: ['', 'x'.repeat(2_049), 'a\nb', 'другой', 'runner '],
    expectation: {
      ...{ ...idToken, algorithms: ['ES256', 'RS256'] },
      promise: claims =>
        typeFault(claims, { project: isText, run: isWhole, tagged: isFlag, groups: isTexts }),
    },
    pathOf: own,
  },
  {
    type: laptop,
    algorithm: 'ES256',
    settings: { ...common, algorithms: ['ES256', 'RS256'] },
    claims: { sub: 'hanna', name: 'Hanna', groups: ['a', 'b'], auth_time: NOON / 1_000, nonce: SIGN_IN },
    subjects: ['', 'a\nb', 'hanna ', 'bob'],
    expectation: {
      ...{ ...idToken, algorithms: ['ES256', 'RS256'], maxLifetimeS: 86_400, needsId: false },
      promise(claims) {
        if (claims.get('nonce') !== SIGN_IN) return 'a nonce of something else'
        const seen = claims.get('auth_time')
        if (!isNumeral(seen) || !Number.isSafeInteger(Number(seen.digits))) return 'no whole second'
        if (Math.abs(NOON / 1_000 - Number(seen.digits)) > 3_660) return 'nobody was there'
        return groupsOf(claims).every(isUsable) ? undefined : 'groups that nobody can read'
      },
    },
    pathOf: own,
    made: { key_bound: () => true, groups: claims => [...new Set(groupsOf(claims))] },
  },
  {
    type: signedStatement,
    algorithm: 'ES256',
    typ: 'mayfly-statement+jwt',
    settings: {
      ...{ ...common, algorithms: ['ES256', 'RS256'], about: 'subject' },
      claims: { network: 'string', ports: 'integer', rootless: 'boolean', mounts: 'string_list' },
    },
    claims: { sub: 'runner', network: 'none', ports: 0, rootless: true, mounts: ['/work'] },
    subjects: ['', 'x'.repeat(2_049), 'a\nb', 'runner '],
    expectation: {
      ...{ ...idToken, algorithms: ['ES256', 'RS256'], types: ['MAYFLY-STATEMENT+JWT'], needsType: true },
      ...{ maxLifetimeS: 600, needsId: false },
      promise(claims) {
        const types = { network: isText, ports: isWhole, rootless: isFlag, mounts: isTexts }
        if (claims.has('cnf')) return 'a key that nobody could mean'
        return Object.keys(types).find(name => !claims.has(name)) ?? typeFault(claims, types)
      },
    },
    pathOf: own,
  },
  {
    type: kubernetes,
    algorithm: 'ES256',
    settings: common,
    claims: {
      sub: 'system:serviceaccount:release:coder',
      'kubernetes.io': {
        namespace: 'release',
        node: { name: 'node-3', uid: `${UID}3` },
        pod: { name: 'coder-7f9c', uid: `${UID}1` },
        serviceaccount: { name: 'coder', uid: `${UID}2` },
        warnafter: 1795003607,
      },
    },
    subjects: [
      'system:serviceaccount:release:Coder',
      'system:serviceaccount:release:',
      'system:node:node-3',
      'admin',
    ],
    expectation: {
      ...{ ...idToken, algorithms: ['ES256', 'RS256'], maxLifetimeS: 7200, maxAgeS: 7200, needsId: false },
      promise(claims) {
        const of = (...path: string[]) => at(claims, 'kubernetes.io', ...path)
        const bound = [of('pod', 'name'), of('pod', 'uid'), of('serviceaccount', 'uid')]
        if (!bound.every(isUsable)) return 'bound to no pod'
        const named = `system:serviceaccount:${of('namespace')}:${of('serviceaccount', 'name')}`
        return claims.get('sub') === named && isUsable(of('namespace')) ? undefined : 'another account'
      },
    },
    pathOf: claim => ['kubernetes.io', ...(POD_CLAIMS[claim] ?? [claim])],
  },
  {
    type: spiffeJwt,
    algorithm: 'ES256',
    settings: { trust_domain: 'acme.test', audience: AUDIENCE, bundle_file: 'bundle' },
    claims: { sub: 'spiffe://acme.test/agent/coder' },
    subjects: [
      ...['spiffe://acme.test', 'spiffe://acme.test/', 'spiffe://acme.test//a', 'spiffe://acme.test/a/../b'],
      ...[
        'spiffe://acme.test/a?b',
        'SPIFFE://acme.test/a',
        'spiffe://acme.test:1/a',
        'spiffe://x@acme.test/a',
      ],
      ...[
        'spiffe://ACME.test/a',
        'spiffe://acme.test/%61',
        'spiffe://acme.test.evil/a',
        'spiffe://acme.test/b',
      ],
    ],
    expectation: {
      ...{ ...idToken, algorithms: SVID(), types: ['JWT', 'JOSE'], onlyHeader: ['alg', 'kid', 'typ'] },
      ...{ maxAgeS: 3600, needsIssuedAt: false, needsId: false, uses: ['jwt-svid'] },
      isOurs: claims => /^spiffe:\/\/acme\.test(\/[A-Za-z0-9._-]+)+$/.test(String(claims.get('sub'))),
      promise: claims =>
        String(claims.get('sub')).split('/').some(isDots) ? 'a path that leads up' : undefined,
    },
    pathOf: claim => [claim],
  },
  {
    type: githubActions,
    algorithm: 'RS256',
    settings: common,
    claims: githubClaims(),
    subjects: [
      ...[
        'repo:acme@77/api@502:ref:refs/heads/main',
        'repo:acme@1/api@501:x',
        'repo:acme/api:ref:refs/heads/main',
      ],
      'repo:acme@77/api@501:environment:production',
    ],
    expectation: {
      ...{ ...idToken, maxLifetimeS: 900 },
      promise(claims) {
        const ids = ['repository_id', 'repository_owner_id', 'run_id', 'run_attempt']
        if (!ids.every(name => isId(claims.get(name)))) return 'ids'
        if (!['event_name', 'repository', 'repository_owner'].every(name => isUsable(claims.get(name))))
          return 'names'
        const named = /^repo:[^/@:]+@([^/@:]+)\/[^/@:]+@([^/@:]+)(?::|$)/.exec(String(claims.get('sub')))
        const [owner, repository] = [claims.get('repository_owner_id'), claims.get('repository_id')]
        return named === null || (named[1] === owner && named[2] === repository)
          ? undefined
          : 'other ids in sub'
      },
    },
    pathOf: own,
  },
  {
    type: gitlabCi,
    algorithm: 'RS256',
    settings: common,
    claims: {
      ...{
        sub: 'project_path:acme/api:ref_type:branch:ref:main',
        namespace_id: '77',
        namespace_path: 'acme',
      },
      ...{ project_id: '501', project_path: 'acme/api', pipeline_id: '1900100200', pipeline_source: 'push' },
      ...{
        job_id: '5512345678',
        ref: 'main',
        ref_protected: 'true',
        environment: 'production',
        runner_id: 12,
      },
    },
    subjects: ['', 'anything'],
    expectation: {
      ...{ ...idToken, maxAgeS: 3600 },
      promise(claims) {
        if (!['namespace_id', 'project_id', 'pipeline_id', 'job_id'].every(name => isId(claims.get(name))))
          return 'ids'
        if (!['true', 'false'].includes(String(claims.get('ref_protected')))) return 'ref_protected'
        return ['pipeline_source', 'ref'].every(name => isUsable(claims.get(name))) ? undefined : 'names'
      },
    },
    pathOf: own,
  },
  {
    type: googleCloud,
    algorithm: 'RS256',
    settings: { ...common, jwks_uri: `${ISSUER}/keys` },
    claims: {
      ...{
        sub: '117302847561029384756',
        azp: '117302847561029384756',
        email: 'a@b.example',
        email_verified: true,
      },
      google: {
        compute_engine: { project_id: 'acme', project_number: 739182645091, instance_id: '41526374' },
      },
    },
    subjects: ['a@b.example', '0x1173028475610293', '11730284', '117302847561029384757'],
    expectation: {
      ...{ ...idToken, maxLifetimeS: 3660, maxAgeS: 3660, needsId: false },
      promise(claims) {
        if (!/^\d{15,25}$/.test(String(claims.get('sub')))) return 'no unique id'
        return claims.has('email') && claims.get('email_verified') !== true
          ? 'an address nobody verified'
          : undefined
      },
    },
    pathOf: claim =>
      ['azp', 'email', 'email_verified'].includes(claim) ? [claim] : ['google', 'compute_engine', claim],
  },
  {
    type: awsWebIdentity,
    algorithm: 'RS256',
    settings: { ...common, account: ACCOUNT },
    claims: {
      sub: `arn:aws:iam::${ACCOUNT}:role/ci/Release`,
      [AWS]: {
        ...{ aws_account: ACCOUNT, org_id: 'o-a1b2c3d4e5', ou_path: ['o-a1b2c3d4e5/r-ab12/'] },
        ...{ principal_tags: { team: 'payments' }, request_tags: { role: 'admin' } },
      },
    },
    subjects: [
      ...[`arn:aws:sts::${ACCOUNT}:assumed-role/Release/x`, 'arn:aws:iam::999999999999:role/Release', '*'],
      ...[`arn:aws:iam::${ACCOUNT}:root`, `arn:aws:iam::${ACCOUNT}:role/Other`],
    ],
    expectation: {
      ...{ ...idToken, algorithms: ['RS256', 'ES384'], maxLifetimeS: 900 },
      promise(claims) {
        if (at(claims, AWS, 'aws_account') !== ACCOUNT) return 'another account'
        return String(claims.get('sub')).startsWith(`arn:aws:iam::${ACCOUNT}:`)
          ? undefined
          : 'another principal'
      },
    },
    pathOf: claim =>
      claim.startsWith('principal_tag_')
        ? [AWS, 'principal_tags', claim.slice('principal_tag_'.length)]
        : [AWS, claim],
  },
]

const POD_CLAIMS: Record<string, readonly string[]> = {
  ...{ pod: ['pod', 'name'], pod_uid: ['pod', 'uid'], node: ['node', 'name'], node_uid: ['node', 'uid'] },
  ...{ service_account: ['serviceaccount', 'name'], service_account_uid: ['serviceaccount', 'uid'] },
}

function SVID() {
  return ['RS', 'ES', 'PS'].flatMap(family => ['256', '384', '512'].map(size => family + size))
}
const isDots = (segment: string) => segment === '.' || segment === '..'

/** One of them may stand alone. */
function groupsOf(claims: Claims): readonly ReturnType<Claims['get']>[] {
  const groups = claims.get('groups')
  if (groups === undefined) return []
  return Array.isArray(groups) ? groups : [groups]
}

type Judge = (value: ReturnType<Claims['get']>) => boolean
const isText: Judge = value => typeof value === 'string' && !/\p{Cc}/u.test(value)
const isFlag: Judge = value => typeof value === 'boolean'
const isTexts: Judge = value => Array.isArray(value) && value.every(isText)
const isWhole: Judge = value => isNumeral(value) && Number.isSafeInteger(Number(value.digits))

function typeFault(claims: Claims, types: Record<string, Judge>): string | undefined {
  return Object.entries(types).find(([name, judge]) => claims.has(name) && !judge(claims.get(name)))?.[0]
}
