/** `postgres://user:password@host:port/database`, as PostgreSQL's own tools take it. */

/** Where the database is. Holds a password: never logged. */
export type PostgresAddress = {
  /** A name, an address, or the absolute path of the folder with the server's socket. */
  host: string
  port: number
  user: string
  password?: string
  database: string
  /** TLS with the server's name verified, by these CAs (PEM) or the system's; false: none. */
  tls: { ca?: string } | false
}

/** Says what is wrong with an address, and never what stood there. */
export class BadAddress extends Error {
  override name = 'BadAddress'
}

const shape = 'postgres://USER:PASSWORD@HOST:PORT/DATABASE'

/**
 * User and database must be named: nothing is taken from the environment. TLS is verified in full unless the
 * server is on this machine, or `sslmode=disable` says that the network is trusted.
 *
 * @throws BadAddress
 */
export function parsePostgresUrl(text: string): PostgresAddress {
  const url = URL.parse(text.trim())
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol)) throw new BadAddress(`expected ${shape}`)
  const folder = url.searchParams.get('host') ?? undefined
  if (folder !== undefined && !folder.startsWith('/'))
    throw new BadAddress('expected the absolute path of a socket folder in ?host=')
  const host = folder ?? url.hostname.replace(/^\[(.*)\]$/, '$1')
  const [user, password, database] = [url.username, url.password, url.pathname.slice(1)].map(decoded)
  if (host === '' || !user || !database) throw new BadAddress(`expected host, user and database: ${shape}`)
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    user,
    ...(password ? { password } : {}),
    database,
    tls: wantsTls(url.searchParams, host) ? {} : false,
  }
}

/** `require` and its like would send the password to whoever answers. */
function wantsTls(parameters: URLSearchParams, host: string): boolean {
  for (const name of parameters.keys())
    if (name !== 'host' && name !== 'sslmode')
      throw new BadAddress('expected no parameter but host and sslmode')
  const mode = parameters.get('sslmode')
  if (mode === null) return !isLocal(host)
  if (mode === 'verify-full') return true
  if (mode === 'disable') return false
  throw new BadAddress('expected sslmode=verify-full or sslmode=disable')
}

function isLocal(host: string): boolean {
  return host.startsWith('/') || /^(localhost|::1|127(\.\d{1,3}){3})$/.test(host)
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new BadAddress('expected % only before two hexadecimal digits')
  }
}
