/** The identity provider's page for people with a browser: it asks for a name and believes it. */
import type { IncomingMessage } from 'node:http'

type Person = { id: string; name?: string; groups?: readonly string[] }

const MAX_CHARS = 1_000

/** @param people one button for each; whoever has signed in already is asked to agree, alone. */
export function signInPage(people: Iterable<Person>): string {
  const buttons = [...people].map(
    ({ id, name = id, groups = [] }) =>
      `<p><button name="human" value="${escaped(id)}">${escaped(name)}</button> ${escaped(groups.join(', '))}`,
  )
  return `<!doctype html><meta charset="utf-8"><title>Sign in</title><h1>Who are you?</h1>
<p>This identity provider is a stand-in, and believes what it is told.<form method="post">${buttons.join('')}</form>`
}

/** What a form of that page holds, with what stands in its address; cut short where it is too long. */
export async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  const { searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1')
  let body = ''
  for await (const chunk of request) {
    body += String(chunk)
    if (body.length > MAX_CHARS) break
  }
  return new URLSearchParams([...searchParams, ...new URLSearchParams(body)])
}

const escaped = (text: string) => text.replaceAll(/[&<>"]/g, one => `&#${one.charCodeAt(0)};`)
