/** The one answer to every piece of evidence that is not accepted, and the run of a row of them. */
import { expect, test } from 'vitest'
import { type AttackedBroker, exchangeRequest, openRequest, type State } from './attacked-broker.ts'
import type { Reply } from './request.ts'

/** Tokens of one kind, each of which is refused; by name where there are several. */
export type Tokens = string | readonly string[] | Readonly<Record<string, string>>
export type EvidenceRow = readonly [
  id: string,
  what: string,
  tokens: (it: AttackedBroker) => Tokens | Promise<Tokens>,
]

const REFUSED = {
  '/oauth/token': {
    status: 400,
    headers: [
      'cache-control: no-store',
      'connection: close',
      'content-type: application/json',
      'x-content-type-options: nosniff',
    ],
    body: {
      error: 'invalid_request',
      error_description: 'subject_token was not accepted as evidence of its subject_token_type',
    },
  },
  '/v1/tasks': {
    status: 401,
    headers: [
      'cache-control: no-store',
      'connection: close',
      'content-type: application/problem+json',
      'x-content-type-options: nosniff',
    ],
    body: {
      type: 'urn:mayfly:problem:evidence_rejected',
      title: 'The evidence was not accepted',
      status: 401,
      detail: 'the evidence was not accepted',
      code: 'evidence_rejected',
    },
  },
}

/** Byte for byte, headers too: nothing tells one cause from another. */
export function expectRefused(path: keyof typeof REFUSED, reply: Reply, what: string): void {
  const { status, headers: named, body } = REFUSED[path]
  const text = JSON.stringify(body)
  const headers = [...named, `content-length: ${text.length}`].sort()
  expect({ status: reply.status, headers: reply.headers.split('\n').sort(), text: reply.text }, what).toEqual(
    { status, headers, text },
  )
}

/** Presents one token at both doors. */
export async function expectEvidenceRefused(it: AttackedBroker, token: string, what: string): Promise<void> {
  it.keepSecret(token)
  expectRefused('/oauth/token', await it.send(exchangeRequest(token)), `${what} at /oauth/token`)
  expectRefused('/v1/tasks', await it.send(openRequest(token)), `${what} at /v1/tasks`)
}

/** One test for each row, and one at the end that says that none of them moved anything. */
export function testEvidence(it: AttackedBroker, rows: readonly EvidenceRow[]): void {
  testUnharmed(it, () => {
    test.each(rows)('%s %s', async (_id, what, tokens) => {
      const made = await tokens(it)
      const all = typeof made === 'string' ? { [what]: made } : made
      for (const [name, token] of Object.entries(all)) await expectEvidenceRefused(it, token, name)
    })
  })
}

/** Brackets the tests of a family: what stood before them stands after them. */
export function testUnharmed(it: AttackedBroker, family: () => void): void {
  let before: State
  test('the broker serves before', async () => {
    expect((await it.exchange(it.goodToken())).status).toBe(200)
    before = await it.state()
  })
  family()
  test('nothing changed, nothing leaked, and the broker still serves', () => it.expectUnharmed(before))
}
