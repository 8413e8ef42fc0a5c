/** What git says of where it wants to go (gitcredentials(7)), as a host and a repository. Pure. */

/** As git's credential protocol has it; `host` may carry a port. */
export type GitTarget = { protocol: string; host: string; path?: string | undefined }

/**
 * Whether credentials for this provider (the host of its web pages) may be given to that target. https on its own
 * port only: another port of the host is another service. On this machine, where stand-ins are, any port and http.
 */
export function isOfProvider({ protocol, host }: GitTarget, provider: string): boolean {
  const url = originOf(protocol, host)
  if (url === undefined || url.hostname !== provider.toLowerCase()) return false
  if (isLoopback(url.hostname)) return true
  return url.protocol === 'https:' && url.port === ''
}

/** Whether what is sent there stays private: https, or http to this machine. */
export function isPrivateTarget({ protocol, host }: GitTarget): boolean {
  const url = originOf(protocol, host)
  return url !== undefined && (url.protocol === 'https:' || isLoopback(url.hostname))
}

/**
 * `owner/name` of a path as it is in a URL that git fetches from: with or without `.git`, of the repository, its
 * wiki (which belongs to it) or its LFS endpoint. Undefined for anything else, a gist among them.
 */
export function repositoryOfPath(path: string): string | undefined {
  const plain = path.replace(/^\/{0,1}/, '').replace(/\/{0,1}$/, '')
  const [owner, name, ...more] = plain.replace(/\.git\/info\/lfs$/, '.git').split('/')
  if (owner === undefined || name === undefined || more.length > 0) return undefined
  const repository = name.replace(/\.git$/, '').replace(/\.wiki$/, '')
  if (!OWNER.test(owner) || !NAME.test(repository)) return undefined
  // GitHub Enterprise Server without subdomain isolation serves gists there; it is nobody's account.
  return owner.toLowerCase() === 'gist' ? undefined : `${owner}/${repository}`
}

/** As GitHub names them: the same as an ask may. */
const OWNER = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/
const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/

/** A host and a port, spelled as they are spelled in full: what needs decoding or rewriting is nobody's. */
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:]{2,45}\])(?::\d{1,5})?$/

function originOf(protocol: string, host: string): URL | undefined {
  if (protocol !== 'https' && protocol !== 'http') return undefined
  if (!HOST.test(host)) return undefined
  const url = URL.parse(`${protocol}://${host}`)
  // `0x7f.1` and `127.1` are other spellings of an address: the parser would make one of them.
  const isAsWritten = url !== null && host.toLowerCase().replace(/:\d+$/, '') === url.hostname
  return isAsWritten ? url : undefined
}

/** @param hostname in lower case, without a port */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
