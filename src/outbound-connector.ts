/**
 * Connects only to addresses that may be reached. The name is resolved here, every address is judged, and
 * the connection is made to a judged address: a name that answers differently a moment later (DNS
 * rebinding) gains nothing, because nobody asks it again.
 */
import { lookup as systemLookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { buildConnector } from 'undici'
import { OutboundError } from './outbound-error.ts'

export type Address = { address: string; family: 4 | 6 }
export type Lookup = (hostname: string) => Promise<Address[]>

export type Reach = {
  allowLoopback?: boolean
  allowPrivateNetworks?: boolean
  ca?: string
  lookup?: Lookup
  /** PEM: what this side shows where the server asks for a certificate. */
  client?: { certificate: string; key: string }
  /** The name the server's certificate must have, where it is not the host that is connected to. */
  serverName?: string
}

export function createPinnedConnector(reach: Reach): buildConnector.connector {
  const resolve = reach.lookup ?? resolveAll
  const mayReach = (address: Address) => {
    const kind = kindOf(address)
    if (kind === 'loopback') return reach.allowLoopback === true
    return kind === 'public' || (kind === 'private' && reach.allowPrivateNetworks === true)
  }
  const secure = {
    allow: mayReach,
    connect: buildConnector({ lookup: pin(resolve, mayReach), ...tls(reach) }),
  }
  // Plain http is for loopback hosts; a resolver that sends `localhost` elsewhere changes nothing in that.
  const isLoopback = (address: Address) => kindOf(address) === 'loopback' && mayReach(address)
  const plain = { allow: isLoopback, connect: buildConnector({ lookup: pin(resolve, isLoopback) }) }

  return (options, callback) => {
    const { allow, connect } = options.protocol === 'https:' ? secure : plain
    const literal = options.hostname.replace(/^\[|\]$/g, '')
    const family = isIP(literal)
    // Node asks no lookup for an address that is written as one.
    if ((family === 4 || family === 6) && !allow({ address: literal, family })) {
      callback(notAllowed(literal), null)
      return
    }
    connect(options, (error, socket) => {
      if (error === null) callback(null, socket)
      else callback(notConnected(error, options.hostname), null)
    })
  }
}

/** TCP or TLS did not come about: what waited for this connection was not sent. */
function notConnected(error: Error & { code?: unknown }, host: string): OutboundError {
  if (error instanceof OutboundError) return error
  const code = typeof error.code === 'string' ? ` (${error.code})` : ''
  return new OutboundError('connection_failed', `${host} could not be reached${code}`, true)
}

function tls({ ca, client, serverName }: Reach) {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(client === undefined
      ? {}
      : { cert: client.certificate, key: client.key, minVersion: 'TLSv1.3' as const }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  }
}

/** One forbidden address among several is enough: which of them is dialled is not ours to choose. */
function pin(resolve: Lookup, allow: (address: Address) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then(
      addresses => {
        const [first] = addresses
        if (first === undefined || !addresses.every(allow)) return callback(notAllowed(hostname), '', 0)
        if (options.all === true) return callback(null, addresses)
        return callback(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    )
  }
}

function notAllowed(host: string): OutboundError {
  return new OutboundError('address_not_allowed', `${host} is at an address that must not be reached`)
}

function resolveAll(hostname: string): Promise<Address[]> {
  return new Promise((resolve, reject) => {
    systemLookup(hostname, { all: true }, (error, addresses) => {
      if (error !== null) return reject(error)
      return resolve(addresses.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 })))
    })
  })
}

type Kind = 'public' | 'private' | 'loopback' | 'never'

/** IANA special-purpose registries. What is not global unicast is never reached, whatever is configured. */
const LOOPBACK = ranges({ ipv4: ['127.0.0.0/8'], ipv6: ['::1/128'] })
/** Cloud metadata inside ranges that an operator may allow: AWS over IPv6, Alibaba, Oracle. */
const METADATA = ranges({ ipv4: ['100.100.100.200/32', '192.0.0.192/32'], ipv6: ['fd00:ec2::254/128'] })
const PRIVATE = ranges({
  ipv4: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'],
  ipv6: ['fc00::/7'],
})
const RESERVED_V4 = ranges({
  ipv4: [
    ...['0.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24'],
    ...['198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ],
  ipv6: [],
})
const GLOBAL_V6 = ranges({ ipv4: [], ipv6: ['2000::/3'] })
/** Inside 2000::/3: protocol assignments with Teredo, documentation, and 6to4, which wraps any IPv4 address. */
const RESERVED_V6 = ranges({ ipv4: [], ipv6: ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'] })

export function kindOf({ address, family }: Address): Kind {
  const wrapped = family === 6 ? wrappedIpv4(address) : undefined
  if (wrapped !== undefined) return kindOf({ address: wrapped, family: 4 })
  const type = family === 6 ? 'ipv6' : 'ipv4'
  const within = (list: BlockList) => list.check(address, type)
  if (within(LOOPBACK)) return 'loopback'
  if (within(METADATA)) return 'never'
  if (within(PRIVATE)) return 'private'
  if (family === 4) return within(RESERVED_V4) ? 'never' : 'public'
  return within(GLOBAL_V6) && !within(RESERVED_V6) ? 'public' : 'never'
}

/** The IPv4 address inside `::ffff:a.b.c.d` (mapped) or `64:ff9b::a.b.c.d` (NAT64), as dotted text. */
function wrappedIpv4(address: string): string | undefined {
  const bare = address.replace(/%.*$/, '')
  const canonical = new URL(`http://[${bare}]/`).hostname.slice(1, -1)
  const groups = /^(?:::ffff|64:ff9b:):(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/.exec(canonical)
  if (groups === null) return undefined
  const high = Number.parseInt(groups[1] ?? '0', 16)
  const low = Number.parseInt(groups[2] ?? '0', 16)
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

function ranges(list: { ipv4: string[]; ipv6: string[] }): BlockList {
  const blocks = new BlockList()
  for (const [type, prefixes] of [['ipv4', list.ipv4] as const, ['ipv6', list.ipv6] as const]) {
    for (const prefix of prefixes) {
      const [network = '', bits = ''] = prefix.split('/')
      blocks.addSubnet(network, Number(bits), type)
    }
  }
  return blocks
}
