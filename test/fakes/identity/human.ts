/** A human and their browser, by HTTP alone: cookies, redirects, and the pages of the identity provider. */
import { createHash, randomBytes } from 'node:crypto'

export type Human = {
  /**
   * Goes where the address leads, signs in and agrees where asked, and ends at the client's redirect: its
   * address, which is not fetched. @throws Error where it does not end there
   */
  follow(url: string): Promise<URL>
  /** The same, and then the redirect is fetched: a command line that listens gets its answer. */
  visit(url: string): Promise<{ status: number; text: string }>
  /** RFC 8628: types the code and agrees. */
  approveDevice(verificationUrl: string): Promise<void>
  /** The authorization code flow with PKCE as a native client does it. */
  idToken(client: { clientId: string; scope: string; nonce?: string; prompt?: string }): Promise<string>
}

const MAX_HOPS = 20
const REDIRECT = 'http://127.0.0.1/callback'

export function createBrowser({
  id,
  issuer,
  authenticatedMsAgo = 0,
}: {
  id: string
  issuer: string
  authenticatedMsAgo?: number | undefined
}): Human {
  const cookies = new Map<string, string>()

  async function send(url: URL, init: RequestInit = {}): Promise<Response> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { ...init, redirect: 'manual', headers: { ...init.headers, cookie } })
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      const [name = '', ...value] = pair.split('=')
      if (value.join('=') === '') cookies.delete(name)
      else cookies.set(name, value.join('='))
    }
    return response
  }

  async function step(url: URL): Promise<Response> {
    if (!url.pathname.startsWith('/interaction/')) return send(url)
    const page = new URL(url)
    page.searchParams.set('human', id)
    page.searchParams.set('ago', String(authenticatedMsAgo))
    return send(page, { method: 'POST' })
  }

  async function walk(start: URL): Promise<{ last: Response; at: URL } | { out: URL }> {
    let at = start
    for (let hop = 0; hop < MAX_HOPS; hop += 1) {
      const last = await step(at)
      const location = last.headers.get('location')
      if (location === null) return { last, at }
      at = new URL(location, at)
      if (at.origin !== issuer) return { out: at }
    }
    throw new Error('the identity provider redirects without an end')
  }

  const human: Human = {
    async follow(url) {
      const end = await walk(new URL(url))
      if ('out' in end) return end.out
      throw new Error(`the identity provider answered ${end.last.status} at ${end.at.pathname}`)
    },
    async visit(url) {
      const response = await fetch(await human.follow(url))
      return { status: response.status, text: await response.text() }
    },
    async approveDevice(verificationUrl) {
      let end = await walk(new URL(verificationUrl))
      for (let page = 0; page < MAX_HOPS && 'last' in end; page += 1) {
        const form = fieldsOf(await end.last.text())
        if (form === undefined) return
        const action = new URL(form.action, end.at)
        const answer = await send(action, { method: 'POST', body: new URLSearchParams(form.fields) })
        const location = answer.headers.get('location')
        end = location === null ? { last: answer, at: action } : await walk(new URL(location, action))
      }
    },
    async idToken({ clientId, scope, nonce, prompt = 'login' }) {
      const verifier = randomBytes(32).toString('base64url')
      const url = new URL(`${issuer}/auth`)
      const challenge = createHash('sha256').update(verifier).digest('base64url')
      for (const [name, value] of Object.entries({
        ...{ client_id: clientId, response_type: 'code', redirect_uri: REDIRECT, scope },
        ...{ code_challenge: challenge, code_challenge_method: 'S256', state: 's', max_age: '0' },
        ...(prompt === '' ? {} : { prompt }),
        ...(nonce === undefined ? {} : { nonce }),
      }))
        url.searchParams.set(name, value)
      const code = (await human.follow(url.href)).searchParams.get('code')
      if (code === null) throw new Error('the identity provider gave no code')
      const form = { grant_type: 'authorization_code', client_id: clientId, redirect_uri: REDIRECT }
      const body = new URLSearchParams({ ...form, code, code_verifier: verifier })
      const answer = await fetch(`${issuer}/token`, { method: 'POST', body })
      const { id_token } = (await answer.json()) as { id_token?: string }
      if (id_token === undefined) throw new Error(`the token endpoint answered ${answer.status}`)
      return id_token
    },
  }
  return human
}

/** The first form of a page: where it goes, and what its hidden fields hold. */
function fieldsOf(page: string): { action: string; fields: Record<string, string> } | undefined {
  const action = /<form[^>]*action="([^"]*)"/.exec(page)?.[1]
  if (action === undefined) return undefined
  const fields = [...page.matchAll(/<input[^>]*>/g)].flatMap(([tag]) => {
    const name = /name="([^"]*)"/.exec(tag)?.[1]
    const value = /value="([^"]*)"/.exec(tag)?.[1] ?? ''
    return name === undefined ? [] : [[name, value.replaceAll('&amp;', '&')] as const]
  })
  return { action: action.replaceAll('&amp;', '&'), fields: Object.fromEntries(fields) }
}
