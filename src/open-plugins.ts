/** Configured attestors and issuers, opened with what the host lends them. Opening makes no call. */
import type { Attestor, AttestorDeps, FetchOptions } from '../attestors/attestor.ts'
import { type Issuer, type IssuerDeps, type JwtSigner, LONGEST_ANSWER_BYTES } from '../issuers/issuer.ts'
import { Secret } from '../issuers/shared/secret.ts'
import { canonicalDigest } from './canonical.ts'
import {
  ConfigError,
  type ConfigFiles,
  fromDirectory,
  type LoadedSettings,
  type PluginInstance,
  type Settings,
} from './config.ts'
import { webIdentityIssuer } from './http/web-identity.ts'
import type { KekFiles } from './keys/kek.ts'
import { fraction, type RandomBytes } from './keys/random.ts'
import { readSecretFile } from './keys/secret-file.ts'
import type { Limits } from './limits.ts'
import { createOutbound, type Outbound } from './outbound.ts'

type Types = Pick<LoadedSettings, 'settings' | 'attestorTypes' | 'issuerTypes'>
type Surroundings = {
  now: () => number
  schedule: AttestorDeps['schedule']
  random: RandomBytes
  /** `SPIFFE_ENDPOINT_SOCKET` */
  workloadApi?: string | undefined
  files: ConfigFiles
  kekFiles: KekFiles
  version: string
}
/** What attestors are lent beside files and calls. */
type Beside = Pick<Surroundings, 'now' | 'schedule' | 'random' | 'workloadApi'>

/** The ways out: key sets are small and quick, a provider's answer may be long, a webhook's is not read. */
export function openOutbound({ outbound }: Settings, limits: Limits) {
  const common = {
    allowLoopback: outbound.allow_loopback,
    allowPrivateNetworks: outbound.allow_private_networks,
  }
  const keySets = createOutbound({
    ...common,
    deadlineMs: limits.outboundDeadlineMs,
    maxBodyBytes: limits.outboundBodyBytes,
  })
  const providers = createOutbound({
    ...common,
    deadlineMs: limits.providerDeadlineMs,
    maxBodyBytes: LONGEST_ANSWER_BYTES,
  })
  const webhooks = createOutbound({
    ...common,
    deadlineMs: limits.deliveryDeadlineMs,
    maxBodyBytes: limits.deliveryAnswerBytes,
  })
  const identified = new Set<Outbound>()
  /** Key sets of clusters and the like, by the authority that they are trusted by. */
  const byAuthority = new Map<string, Outbound>()
  const trusting = (ca: string): Outbound => {
    const known = byAuthority.get(ca)
    if (known !== undefined) return known
    const outbound = createOutbound({
      ...{ ...common, ca },
      deadlineMs: limits.outboundDeadlineMs,
      maxBodyBytes: limits.outboundBodyBytes,
    })
    byAuthority.set(ca, outbound)
    // An authority is renewed once in a while; what stands for the oldest is not asked again.
    const [oldest] = byAuthority.keys()
    if (byAuthority.size > limits.outboundAuthorities && oldest !== undefined) {
      void byAuthority.get(oldest)?.retire()
      byAuthority.delete(oldest)
    }
    return outbound
  }
  const mutualTls: NonNullable<IssuerDeps['mutualTls']> = ({ certificate, key, ca, serverName }, bounds) => {
    const outbound = createOutbound({
      ...common,
      client: { certificate, key: key.reveal() },
      ...(ca === undefined ? {} : { ca }),
      ...(serverName === undefined ? {} : { serverName }),
      deadlineMs: Math.min(bounds.deadlineMs, limits.providerDeadlineMs),
      maxBodyBytes: Math.min(bounds.maxBodyBytes, LONGEST_ANSWER_BYTES),
    })
    identified.add(outbound)
    const forget = () => void identified.delete(outbound)
    const close = () => void outbound.retire().then(forget, forget)
    return { fetch: outbound.fetch, close }
  }
  return {
    mutualTls,
    webhooks: webhooks.fetch,
    get: (url: string, { ca, ...how }: FetchOptions = {}) =>
      (ca === undefined ? keySets : trusting(ca)).fetch(url, how),
    fetch: providers.fetch,
    close: async () => {
      const all = [keySets, providers, webhooks, ...identified, ...byAuthority.values()]
      await Promise.all(all.map(outbound => outbound.close()))
    },
  }
}

/** By name: what an approval is bound to, so that other settings are not what was agreed to. */
export function issuerDigests({ issuers }: Settings): Map<string, string> {
  return new Map(
    Object.entries(issuers).map(([name, { type, settings }]) => {
      // Through JSON: schemas may leave members undefined.
      const plain = JSON.parse(JSON.stringify({ type, settings })) as unknown
      return [name, canonicalDigest(plain)]
    }),
  )
}

type Attesting = Pick<Types, 'settings' | 'attestorTypes'> & Beside & { fetch: AttestorDeps['fetch'] }

/** Opens attestors of the known types, one at a time. @throws ConfigError for one that would take our own tokens */
export function attestorOpener({ settings, attestorTypes: types, random, ...given }: Attesting) {
  const { now, schedule, workloadApi, fetch } = given
  const lent = { now, schedule, workloadApi, fetch, jitter: () => fraction(random) }
  return (name: string, instance: PluginInstance, readFile: AttestorDeps['readFile']): Attestor => {
    const type = types.find(({ type }) => type === instance.type)!
    const attestor = type.open(instance.settings, { ...lent, readFile })
    refuseOwnTokens(name, attestor, settings)
    refuseHumans(name, attestor, settings)
    const rules = type.rules?.(instance.settings)
    return rules === undefined ? attestor : Object.assign(attestor, { rules })
  }
}

export function openAttestors(
  types: Pick<Types, 'settings' | 'attestorTypes'>,
  { files, ...beside }: Beside & Pick<Surroundings, 'files'>,
  fetch: AttestorDeps['fetch'],
): Map<string, Attestor> {
  const { directory, attestors } = types.settings
  const open = attestorOpener({ ...types, ...beside, fetch })
  const readFile = (path: string) => files.readFile(fromDirectory(directory, path))
  const opened = (name: string, instance: PluginInstance): Attestor => {
    try {
      return open(name, instance, readFile)
    } catch (error) {
      if (error instanceof ConfigError || !(error instanceof Error)) throw error
      const file = fromDirectory(directory, 'mayfly.yaml')
      const expected = `expected settings that can be opened here: ${error.message}`
      throw new ConfigError([{ file, key: `attestors.${name}`, expected }])
    }
  }
  return new Map(Object.entries(attestors).map(([name, instance]) => [name, opened(name, instance)] as const))
}

type Lent = {
  fetch: typeof globalThis.fetch
  mutualTls?: NonNullable<IssuerDeps['mutualTls']>
  sign: JwtSigner
  signIdentity: JwtSigner
}

/** Opens issuers of the known types, one at a time. */
export function issuerOpener(
  { settings, issuerTypes: types }: Pick<Types, 'settings' | 'issuerTypes'>,
  { now, version }: Pick<Surroundings, 'now' | 'version'>,
  { fetch, mutualTls, sign, signIdentity }: Lent,
) {
  const deps = {
    now,
    fetch,
    ...(mutualTls === undefined ? {} : { mutualTls }),
    jwt: { issuerUrl: settings.public_url, sign },
    webIdentity: { issuerUrl: webIdentityIssuer(settings.public_url), sign: signIdentity },
    userAgent: `mayfly/${version}`,
  }
  return (name: string, instance: PluginInstance, readSecretFile: IssuerDeps['readSecretFile']): Issuer =>
    types
      .find(({ type }) => type === instance.type)!
      .open(instance.settings, { ...deps, readSecretFile, name })
}

export function openIssuers(
  types: Pick<Types, 'settings' | 'issuerTypes'>,
  surroundings: Omit<Surroundings, 'files'>,
  lent: Lent,
): Map<string, Issuer> {
  const { settings } = types
  const open = issuerOpener(types, surroundings, lent)
  const readSecret = async (path: string) =>
    new Secret(await readSecretFile(surroundings.kekFiles, fromDirectory(settings.directory, path)))
  const opened = new Map(
    Object.entries(settings.issuers).map(([name, one]) => [name, open(name, one, readSecret)] as const),
  )
  refuseBlindObservers(opened, settings)
  return opened
}

/** Looking at jobs, or for alerts, needs an issuer whose provider has them. */
function refuseBlindObservers(
  opened: ReadonlyMap<string, Issuer>,
  { observers, leaks, directory }: Settings,
): void {
  const looking = [
    ['observers.github_poll', observers.github_poll?.issuer, 'watch', 'Actions'],
    ['observers.verify_job_running', observers.verify_job_running?.issuer, 'watch', 'Actions'],
    ['leaks.github_alerts', leaks.github_alerts?.issuer, 'alerts', 'secret scanning alerts'],
  ] as const
  const problems = looking.flatMap(([key, issuer, by, what]) => {
    if (issuer === undefined || opened.get(issuer)?.[by] !== undefined) return []
    return {
      ...{ file: fromDirectory(directory, 'mayfly.yaml'), line: 1, column: 1 },
      key: `${key}.issuer`,
      expected: 'an issuer of type github-app',
      remedy: `Name the issuer whose App may read ${what}`,
    }
  })
  if (problems.length > 0) throw new ConfigError(problems)
}

/** An ID token for a human's other purposes (whom a task is on behalf of, an operator) is nobody's evidence. */
function refuseHumans(name: string, attestor: Attestor, { humans, operators, directory }: Settings): void {
  const { oidc } = operators
  const apart = [
    ...humans.map(({ issuer: iss, audience: aud }) => ({ iss, aud, whose: 'humans' })),
    ...(oidc === undefined
      ? []
      : [{ iss: oidc.issuer, aud: oidc.audience ?? oidc.client_id, whose: 'operators' }]),
  ]
  for (const { iss, aud, whose } of apart) {
    const header = encode({ alg: 'RS256', typ: 'JWT' })
    const evidence = { type: 'jwt', token: `${header}.${encode({ iss, aud, sub: 'human' })}.AAAA` } as const
    if (!attestor.recognises(evidence) || attestor.isFor?.(evidence) === false) continue
    throw new ConfigError([
      {
        file: fromDirectory(directory, 'mayfly.yaml'),
        line: 1,
        column: 1,
        key: `attestors.${name}`,
        expected: `another audience than ${whose} have at ${iss}: their tokens would be evidence of workloads`,
        remedy: `Give ${whose} an audience of their own, or the attestor`,
      },
    ])
  }
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** What the broker signs, for tasks or to be recognised itself, is no evidence: it would open the next task. */
function refuseOwnTokens(name: string, attestor: Attestor, { public_url, directory }: Settings): void {
  const own = [public_url, webIdentityIssuer(public_url)].map(
    iss => `${encode({ alg: 'ES256', typ: 'JWT' })}.${encode({ iss, sub: 'own' })}.AAAA`,
  )
  if (!own.some(token => attestor.recognises({ type: 'jwt', token }))) return
  throw new ConfigError([
    {
      file: fromDirectory(directory, 'mayfly.yaml'),
      line: 1,
      column: 1,
      key: `attestors.${name}`,
      expected: "another issuer than the broker's own public_url, or /aws under it",
      remedy: 'Trust the identity provider of the workload',
    },
  ])
}
