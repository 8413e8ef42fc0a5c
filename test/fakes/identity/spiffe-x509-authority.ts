/** A SPIFFE trust domain that issues X.509-SVIDs and publishes its bundle, like a SPIRE server would. */
import type * as x509 from '@peculiar/x509'
import {
  type Certified,
  extension,
  type Keys,
  type Kind,
  makeCertificate,
  makeKeys,
  pemOf,
  USES,
} from './x509-certificates.ts'

export type SvidWish = {
  /** Of the leaf, instead of a fresh one. */
  keys?: Keys
  kind?: Kind
  /** Instead of `spiffe://domain/path`; several where wanted. */
  names?: x509.JsonGeneralNames
  subject?: string
  /** Seconds from now. */
  fromS?: number
  untilS?: number
  /** Instead of those that an SVID has, by name; `null` takes one out. */
  basic?: x509.Extension | null
  usage?: x509.Extension | null
  purposes?: x509.Extension | null
  more?: readonly x509.Extension[]
  alternativeNameCritical?: boolean
  /** Who signs; the domain's own authority where absent. `below`: those between it and the root. */
  issuer?: Certified
  below?: readonly Uint8Array[]
}

export type Svid = {
  /** DER, leaf first. */
  chain: readonly Uint8Array[]
  leaf: Certified
  /** For a TLS client: PEM. */
  cert: string
  key: string
}

export type AuthorityWish = {
  name?: string
  keys?: Keys
  issuer?: Certified
  fromS?: number
  untilS?: number
  pathLength?: number
  basic?: x509.Extension | null
  usage?: x509.Extension | null
  names?: x509.JsonGeneralNames | null
  more?: readonly x509.Extension[]
}

export type SpiffeX509Authority = {
  readonly root: Certified
  /** @param path `/agent/coder` */
  issue(path: string, wish?: SvidWish): Promise<Svid>
  /** A certificate that may issue; its own root where no issuer is named. It is published by nobody. */
  authority(wish?: AuthorityWish): Promise<Certified>
  /** The bundle as JSON text. @param more other entries of `keys` */
  bundle(more?: readonly object[]): string
  /** Signs by a new root from now on; `keepOld` leaves the old ones in the bundle. */
  rotate(how?: { keepOld?: boolean }): Promise<void>
  /** What the bundle holds from now on. */
  publish(authorities: readonly Certified[]): void
}

export async function createSpiffeX509Authority(options: {
  trustDomain: string
  /** Epoch milliseconds. */
  now: () => number
}): Promise<SpiffeX509Authority> {
  const { trustDomain, now } = options
  const at = (seconds: number) => Math.floor(now() / 1000 + seconds) * 1000
  const spare: Keys[] = []
  let sequence = 1
  let issued = 1

  async function authority(wish: AuthorityWish = {}): Promise<Certified> {
    const { names = [{ type: 'url', value: `spiffe://${trustDomain}` }] } = wish
    return makeCertificate({
      name: wish.name ?? `O=${trustDomain}, CN=authority ${sequence}`,
      keys: wish.keys ?? (await makeKeys()),
      ...(wish.issuer && { issuer: wish.issuer }),
      ...{ notBefore: at(wish.fromS ?? -10), notAfter: at(wish.untilS ?? 86_400) },
      extensions: [
        ...one(wish.basic, () => extension.basic(true, wish.pathLength)),
        ...one(wish.usage, () => extension.usage(USES.keyCertSign | USES.cRLSign)),
        ...(names === null ? [] : [extension.names(names)]),
        ...(wish.more ?? []),
      ],
    })
  }

  let root = await authority()
  let published: readonly Certified[] = [root]

  return {
    get root() {
      return root
    },
    authority,
    async issue(path, wish = {}) {
      const { names = [{ type: 'url', value: `spiffe://${trustDomain}${path}` }], below = [] } = wish
      const keys = wish.keys ?? (await keysFor(wish.kind))
      const leaf = await makeCertificate({
        ...{ name: wish.subject ?? 'C=US, O=SPIRE', keys, issuer: wish.issuer ?? root },
        ...{ notBefore: at(wish.fromS ?? -10), notAfter: at(wish.untilS ?? 3600) },
        serial: nextSerial(),
        extensions: [
          ...one(wish.basic, () => extension.basic(false)),
          ...one(wish.usage, () => extension.usage(USES.digitalSignature)),
          ...one(wish.purposes, () => extension.purposes('1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2')),
          extension.names(names, wish.alternativeNameCritical),
          ...(wish.more ?? []),
        ],
      })
      const chain = [leaf.der, ...below]
      return { chain, leaf, cert: pemOf(...chain), key: keys.pem }
    },
    bundle(more = []) {
      const keys = published.map(({ der }) => ({
        ...{ kty: 'EC', use: 'x509-svid', x5c: [Buffer.from(der).toString('base64')] },
      }))
      return JSON.stringify({
        keys: [...keys, ...more],
        ...{ spiffe_sequence: sequence, spiffe_refresh_hint: 300 },
      })
    },
    async rotate({ keepOld = true } = {}) {
      sequence += 1
      root = await authority()
      published = keepOld ? [root, ...published] : [root]
    },
    publish(authorities) {
      sequence += 1
      published = authorities
    },
  }

  function nextSerial(): string {
    issued += 1
    return `2a${issued.toString(16).padStart(8, '0')}`
  }

  /** Fresh ones where no kind is asked for are made once: what differs between leaves is not their key. */
  async function keysFor(kind: Kind | undefined): Promise<Keys> {
    if (kind !== undefined) return makeKeys(kind)
    spare[0] ??= await makeKeys()
    return spare[0]
  }
}

function one(given: x509.Extension | null | undefined, usual: () => x509.Extension): x509.Extension[] {
  if (given === null) return []
  return [given ?? usual()]
}
