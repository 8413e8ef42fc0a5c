/** What octo-sts takes for an issuer, a subject and an audience, whatever a policy says of them. */

const MOST = 255

/** https, or http on this machine; a plain host in ASCII, and no query, fragment, user or doubled separators. */
export function isIssuer(text: string): boolean {
  if ([...text].length > MOST || !/^https?:\/\/[\x21-\x7e]+$/.test(text) || !URL.canParse(text)) return false
  if (/[?#@\\]|\.\./.test(text) || text.slice(text.indexOf('://') + 3).includes('//')) return false
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
}

export function isSubject(text: string): boolean {
  return text !== '' && [...text].length <= MOST && !/[\s"'`\\<>;&$(){}[\]\p{Cc}]/u.test(text)
}

export function isAudience(text: string): boolean {
  return isSubject(text) && !/[|@]/.test(text)
}
