/**
 * Whether a candidate names `base` or a place under it, however it is spelled: scheme, letter case, default
 * port, user info, a final dot in the host, percent-encoding and dot segments make no difference.
 * A candidate that is not a URL is compared as text.
 */
export function urlsWithin(base: string): (candidate: string) => boolean {
  const text = base.toLowerCase()
  const outer = place(base)
  return candidate => {
    if (candidate.toLowerCase() === text) return true
    const inner = place(candidate)
    if (!outer || !inner || outer.host !== inner.host) return false
    return outer.segments.every((segment, index) => inner.segments[index] === segment)
  }
}

type Place = { host: string; segments: string[] }

function place(text: string): Place | undefined {
  const url = URL.parse(text)
  if (!url?.host) return undefined
  const port = url.port || (url.protocol === 'http:' ? '80' : '443')
  // http and https on their default ports are one place: a token for one is a token for the other.
  const host = `${url.hostname.replace(/\.$/, '')}:${port === '80' ? '443' : port}`
  return { host, segments: decodePath(url.pathname) }
}

/** Decoded once more than URL does, so that `/%76%31` is `/v1`; an undecodable path is compared as it is. */
function decodePath(path: string): string[] {
  let decoded = path
  try {
    decoded = decodeURIComponent(path)
  } catch {
    // Kept as written.
  }
  return decoded
    .toLowerCase()
    .split('/')
    .filter(segment => segment !== '')
}
