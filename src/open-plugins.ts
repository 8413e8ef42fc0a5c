/** Configured attestors and issuers, opened with what the host lends them. Opening makes no call. */
import type { Attestor, AttestorDeps } from '../attestors/attestor.ts'
import { type Issuer, type JwtSigner, LONGEST_ANSWER_BYTES } from '../issuers/issuer.ts'
import { Secret } from '../issuers/shared/secret.ts'
import { ConfigError, type ConfigFiles, fromDirectory, type LoadedSettings, type Settings } from './config.ts'
import { webIdentityIssuer } from './http/web-identity.ts'
import type { KekFiles } from './keys/kek.ts'
import { readSecretFile } from './keys/secret-file.ts'
import type { Limits } from './limits.ts'
import { createOutbound } from './outbound.ts'

type Types = Pick<LoadedSettings, 'settings' | 'attestorTypes' | 'issuerTypes'>
type Surroundings = { now: () => number; files: ConfigFiles; kekFiles: KekFiles; version: string }

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
  return {
    webhooks: webhooks.fetch,
    get: (url: string) => keySets.get(url),
    fetch: providers.fetch,
    close: async () => {
      await Promise.all([keySets.close(), providers.close(), webhooks.close()])
    },
  }
}

export function openAttestors(
  { settings, attestorTypes: types }: Pick<Types, 'settings' | 'attestorTypes'>,
  { now, files }: Pick<Surroundings, 'now' | 'files'>,
  fetch: AttestorDeps['fetch'],
): Map<string, Attestor> {
  const deps = {
    now,
    fetch,
    readFile: (path: string) => files.readFile(fromDirectory(settings.directory, path)),
  }
  const opened = new Map(
    Object.entries(settings.attestors).map(([name, instance]) => [
      name,
      types.find(({ type }) => type === instance.type)!.open(instance.settings, deps),
    ]),
  )
  refuseOwnTokens(opened, settings)
  return opened
}

export function openIssuers(
  { settings, issuerTypes: types }: Pick<Types, 'settings' | 'issuerTypes'>,
  { now, kekFiles, version }: Omit<Surroundings, 'files'>,
  { fetch, sign, signIdentity }: { fetch: typeof globalThis.fetch; sign: JwtSigner; signIdentity: JwtSigner },
): Map<string, Issuer> {
  const deps = {
    now,
    fetch,
    readSecretFile: async (path: string) =>
      new Secret(await readSecretFile(kekFiles, fromDirectory(settings.directory, path))),
    jwt: { issuerUrl: settings.public_url, sign },
    webIdentity: { issuerUrl: webIdentityIssuer(settings.public_url), sign: signIdentity },
    userAgent: `mayfly/${version}`,
  }
  const opened = new Map(
    Object.entries(settings.issuers).map(([name, instance]) => [
      name,
      types.find(({ type }) => type === instance.type)!.open(instance.settings, { ...deps, name }),
    ]),
  )
  refuseBlindObservers(opened, settings)
  return opened
}

/** Looking at jobs needs an issuer whose provider runs them. */
function refuseBlindObservers(opened: ReadonlyMap<string, Issuer>, { observers, directory }: Settings): void {
  const problems = (['github_poll', 'verify_job_running'] as const).flatMap(key => {
    const issuer = observers[key]?.issuer
    if (issuer === undefined || opened.get(issuer)?.watch !== undefined) return []
    return {
      ...{ file: fromDirectory(directory, 'mayfly.yaml'), line: 1, column: 1 },
      key: `observers.${key}.issuer`,
      expected: 'an issuer of type github-app',
      remedy: 'Name the issuer whose App may read Actions',
    }
  })
  if (problems.length > 0) throw new ConfigError(problems)
}

/** What the broker signs, for tasks or to be recognised itself, is no evidence: it would open the next task. */
function refuseOwnTokens(
  attestors: ReadonlyMap<string, Attestor>,
  { public_url, directory }: Settings,
): void {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const own = [public_url, webIdentityIssuer(public_url)].map(
    iss => `${encode({ alg: 'ES256', typ: 'JWT' })}.${encode({ iss, sub: 'own' })}.AAAA`,
  )
  for (const [name, attestor] of attestors) {
    if (!own.some(token => attestor.recognises({ type: 'jwt', token }))) continue
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
}
