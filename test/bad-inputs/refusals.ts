/** The one answer to every piece of evidence that is not accepted, and the run of a row of them. */
import { expect, test } from 'vitest'
import {
  type AttackedBroker,
  assertionRequest,
  exchangeRequest,
  openRequest,
  type State,
  webIdentityRequest,
} from './attacked-broker.ts'
import type { Reply, Sent } from './request.ts'

/** Tokens of one kind, each of which is refused; by name where there are several. */
export type Tokens = string | readonly string[] | Readonly<Record<string, string>>
export type EvidenceRow = readonly [
  id: string,
  what: string,
  tokens: (it: AttackedBroker) => Tokens | Promise<Tokens>,
]

const OAUTH_HEADERS = [
  'cache-control: no-store',
  'connection: close',
  'content-type: application/json',
  'x-content-type-options: nosniff',
]

/** By the door at which evidence is presented. */
const REFUSED = {
  '/oauth/token': {
    status: 400,
    headers: OAUTH_HEADERS,
    body: {
      error: 'invalid_request',
      error_description: 'subject_token was not accepted as evidence of its subject_token_type',
    },
  },
  'an assertion': {
    status: 400,
    headers: OAUTH_HEADERS,
    body: { error: 'invalid_grant', error_description: 'the assertion was not accepted as evidence' },
  },
  '/sts': {
    status: 400,
    headers: [
      'cache-control: no-store',
      'connection: close',
      'content-type: text/xml',
      'x-content-type-options: nosniff',
    ],
    body:
      '<?xml version="1.0" encoding="UTF-8"?>\n' +
      '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>' +
      '<Code>InvalidIdentityToken</Code><Message>The web identity token was not accepted. It must be meant for ' +
      'this broker, not be past its time, and not have been used before: get a fresh one for each call</Message>' +
      '</Error></ErrorResponse>\n',
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

/** What XML answers name the request by, taken out of every reply. */
const REQUEST_ID_CHARS = '<RequestId></RequestId>'.length + 'req_'.length + 26

/** Byte for byte, headers too: nothing tells one cause from another. */
export function expectRefused(door: Door, reply: Reply, what: string): void {
  const { status, headers: named, body } = REFUSED[door]
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const length = text.length + (typeof body === 'string' ? REQUEST_ID_CHARS : 0)
  const headers = [...named, `content-length: ${length}`].sort()
  expect({ status: reply.status, headers: reply.headers.split('\n').sort(), text: reply.text }, what).toEqual(
    { status, headers, text },
  )
}

type Door = keyof typeof REFUSED

const AT_DOOR: Readonly<Record<Door, (token: string) => Sent>> = {
  '/oauth/token': exchangeRequest,
  'an assertion': assertionRequest,
  '/sts': webIdentityRequest,
  '/v1/tasks': openRequest,
}
const DOORS = Object.keys(AT_DOOR) as Door[]

/** Presents one token at every door, or at those that are named. */
export async function expectEvidenceRefused(
  it: AttackedBroker,
  token: string,
  what: string,
  doors: readonly Door[] = DOORS,
): Promise<void> {
  it.keepSecret(token)
  for (const door of doors) expectRefused(door, await it.send(AT_DOOR[door](token)), `${what} at ${door}`)
}

/**
 * One test for each row, and one at the end that says that none of them moved anything. The first token of a row
 * knocks at every door, each of the others at the first one and at one more in turn: behind all of them is one broker.
 */
export function testEvidence(it: AttackedBroker, rows: readonly EvidenceRow[]): void {
  const [first, ...others] = DOORS
  testUnharmed(it, () => {
    test.each(rows)('%s %s', async (_id, what, tokens) => {
      const made = await tokens(it)
      const all = Object.entries(typeof made === 'string' ? { [what]: made } : made)
      for (const [turn, [name, token]] of all.entries()) {
        const doors = turn === 0 ? DOORS : [first!, others[turn % others.length]!]
        await expectEvidenceRefused(it, token, name, doors)
      }
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
