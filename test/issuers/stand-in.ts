/** What the issuers' tests share: two clocks, the host's side of the contract, and faults at the stand-ins. */
import { generateKeyPairSync } from 'node:crypto'
import { SignJWT } from 'jose'
import { type IssuerDeps, LONGEST_ANSWER_BYTES } from '../../issuers/issuer.ts'
import { Secret } from '../../issuers/shared/secret.ts'
import { createOutbound } from '../../src/outbound.ts'
import type { FaultHook } from '../fakes/faults.ts'

export const ISSUER_URL = 'https://mayfly.example'
export const USER_AGENT = 'mayfly/0.0-test'
const START = Date.parse('2026-05-01T12:00:00Z')

/** The broker's clock, and a provider's that can run apart from it. Epoch ms. */
export class Clocks {
  #broker = START
  #providerAhead = 0
  readonly broker = () => this.#broker
  readonly provider = () => this.#broker + this.#providerAhead

  advance(ms: number): void {
    this.#broker += ms
  }
  advanceProvider(ms: number): void {
    this.#providerAhead += ms
  }
}

const signingKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const jwtPublicKey = signingKey.publicKey
const identityKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
/** What the broker would publish under its second issuer. */
export const identityKeySet = {
  keys: [{ ...identityKey.publicKey.export({ format: 'jwk' }), kid: 'own', alg: 'ES256', use: 'sig' }],
}
export const identityKeyText = String(identityKey.privateKey.export({ format: 'jwk' }).d)
export const jwtPrivateKeyText = String(signingKey.privateKey.export({ format: 'jwk' }).d)

/** The host's own fetch with its bounds; `requests` counts what was sent; files are by path. */
export function hostDeps(clocks: Clocks, files: Readonly<Record<string, string>> = {}) {
  const counted = { requests: 0 }
  const outbound = createOutbound({ allowLoopback: true, maxBodyBytes: LONGEST_ANSWER_BYTES })
  const deps: IssuerDeps = {
    now: clocks.broker,
    fetch(input, init) {
      counted.requests += 1
      return outbound.fetch(input, init)
    },
    async readSecretFile(path) {
      const text = files[path]
      if (text === undefined) throw new Error(`no file ${path}`)
      return new Secret(text)
    },
    jwt: {
      issuerUrl: ISSUER_URL,
      sign: (typ, claims) =>
        new SignJWT({ ...claims })
          .setProtectedHeader({ alg: 'ES256', typ, kid: 'test' })
          .sign(signingKey.privateKey),
    },
    webIdentity: {
      issuerUrl: `${ISSUER_URL}/aws`,
      sign: (typ, claims) =>
        new SignJWT({ ...claims })
          .setProtectedHeader({ alg: 'ES256', typ, kid: 'own' })
          .sign(identityKey.privateKey),
    },
    userAgent: USER_AGENT,
  }
  return { deps, counted, close: () => outbound.close() }
}

/** Faults in the words of the issuer suite, for one stand-in and its name of the mint. */
export function faultControls(
  standIn: { faults: FaultHook | undefined },
  mintOperation: string,
  mintStatus: number,
) {
  const onMintReply = (decision: Awaited<ReturnType<FaultHook>>) => {
    standIn.faults = ({ operation, when }) =>
      operation === mintOperation && when === 'after' ? decision : 'ok'
  }
  return {
    goDown: () => {
      standIn.faults = ({ when }) => (when === 'before' ? 'drop' : 'ok')
    },
    loseMintReplies: () => onMintReply('drop'),
    garbleMintReplies: (body: string) =>
      onMintReply({ status: mintStatus, headers: { 'content-type': 'application/json' }, body }),
    recover: () => {
      standIn.faults = () => 'ok'
    },
  }
}
