import { MayflyError } from './mayfly-error.ts'

/**
 * Where the broker is, checked: evidence and tokens go there, so plain http is for this machine only.
 *
 * @returns its origin, without a slash at the end. @throws MayflyError `url_invalid`
 */
export function brokerOrigin(text: string): string {
  const url = URL.parse(text)
  const expected = 'Expected scheme, host and port, like https://mayfly.example.com'
  if (url === null || !/^https?:$/.test(url.protocol) || (text !== url.origin && text !== `${url.origin}/`))
    throw new MayflyError(
      `the broker's address ${JSON.stringify(text.slice(0, 200))} is not usable. ${expected}`,
      { code: 'url_invalid' },
    )
  if (!isPrivate(url))
    throw new MayflyError(
      `the broker's address ${url.origin} is plain http: tokens would cross the network in the clear.\n` +
        '  Use https; http is for this machine only (127.0.0.1, localhost, [::1]).',
      { code: 'url_invalid' },
    )
  return url.origin
}

/** Whether what is sent there can be read by nobody on the way: https, or this machine. */
export function isPrivate({ protocol, hostname }: URL): boolean {
  if (protocol === 'https:') return true
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
  return protocol === 'http:' && isLoopback
}
