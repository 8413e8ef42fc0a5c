/** `fetch` that shows a client certificate to the broker, and to nobody else. */
import { readFile } from 'node:fs/promises'
import type { buildConnector } from 'undici'
import { given } from './broker-url.ts'

export type CertificateFiles = { cert: string; key: string }

/**
 * @param env MAYFLY_CLIENT_CERT_FILE and MAYFLY_CLIENT_KEY_FILE, shown to the origin of MAYFLY_URL
 * @param ca PEM, instead of the authorities that Node trusts
 */
export function certifiedFetch(
  env: Readonly<Record<string, string | undefined>>,
  otherwise: typeof fetch,
  ca?: string,
): typeof fetch {
  const files = certificateFiles(env)
  const broker = URL.parse(given(env.MAYFLY_URL) ?? '')?.origin
  if (files === undefined || broker === undefined) return otherwise
  let loading: ReturnType<typeof loadUndici> | undefined
  const shown = async (url: string, how: RequestInit) => {
    loading ??= loadUndici(files, ca)
    const { undiciFetch, dispatcher } = await loading
    // Both are the Fetch standard's, declared twice.
    return undiciFetch(url, { ...(how as object), dispatcher }) as unknown as Promise<Response>
  }
  return (input, how = {}) => {
    const url = input instanceof Request ? input.url : String(input)
    return URL.parse(url)?.origin === broker ? shown(url, how) : otherwise(input, how)
  }
}

/** Where both are named. */
export function certificateFiles(
  env: Readonly<Record<string, string | undefined>>,
): CertificateFiles | undefined {
  const [cert, key] = [given(env.MAYFLY_CLIENT_CERT_FILE), given(env.MAYFLY_CLIENT_KEY_FILE)]
  return cert === undefined || key === undefined ? undefined : { cert, key }
}

/** When it is wanted: most commands show no certificate, and start sooner without it. */
async function loadUndici(files: CertificateFiles, ca: string | undefined) {
  const { Agent, buildConnector, fetch: undiciFetch } = await import('undici')
  return { undiciFetch, dispatcher: new Agent({ connect: connectWith(buildConnector, files, ca) }) }
}

/** The files are read for each connection: an SVID is renewed while a command runs. */
function connectWith(
  build: typeof buildConnector,
  files: CertificateFiles,
  ca: string | undefined,
): buildConnector.connector {
  return (options, done) => {
    Promise.all([readFile(files.cert, 'utf8'), readFile(files.key, 'utf8')]).then(
      ([cert, key]) => build({ cert, key, ...(ca === undefined ? {} : { ca }) })(options, done),
      (error: Error) => done(error, null),
    )
  }
}
