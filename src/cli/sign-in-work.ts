/**
 * `--sign-in`: a human signs in for a process on their own machine, once for each task that it opens. What comes of it
 * is good for this process's key and for that one request (docs/laptops.md); nothing is written to a file.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { signInNonce } from '../../attestors/shared/sign-in-nonce.ts'
import type { Secret } from '../../issuers/shared/secret.ts'
import { signedForDigest } from '../broker/people/signed-for.ts'
import { type BoundKeyPair, signingFetch } from '../client/bound-key.ts'
import { createMayfly, type Mayfly } from '../client/mayfly.ts'
import type { AskDetail } from './ask.ts'
import { createClient } from './client.ts'
import type { Provider } from './identity-provider.ts'
import { note, printable, showAsk } from './print.ts'
import { CommandError, EXIT, type Terminal, usageError } from './terminal.ts'

export type SignInOption = { signIn?: boolean; device?: boolean; signInAt?: string }

/** What opens tasks, and nothing else of a {@link Mayfly}. */
export type Opener = Pick<Mayfly, 'openTask'>

/** A key of this process, and the way to the broker on which everything is signed with it. */
export type OwnKey = {
  fetch: typeof fetch
  /** RFC 7638, SHA-256, base64url. */
  jkt: string
}

const placesAnswer = z.looseObject({
  sign_in: z.array(
    z.looseObject({
      attestor: z.string(),
      issuer: z.string(),
      client_id: z.string(),
      scopes: z.array(z.string()),
      redirect_ports: z.array(z.int()),
      device_flow: z.enum(['off', 'bound', 'unbound']),
      max_age_seconds: z.int().optional(),
    }),
  ),
})
type Place = z.infer<typeof placesAnswer>['sign_in'][number]

/** @throws CommandError (usage) where the options do not go together */
export function checkSignIn(
  options: SignInOption & { evidenceFile?: string; onBehalfOfFile?: string; boundKey?: boolean },
): void {
  const { signIn, device, signInAt, evidenceFile, onBehalfOfFile } = options
  if (signIn !== true && (device === true || signInAt !== undefined))
    throw usageError('--device and --sign-in-at say how to --sign-in: add it')
  if (signIn === true && (evidenceFile ?? onBehalfOfFile) !== undefined)
    throw usageError(
      'with --sign-in the human who signs in is the evidence, and whom it is on behalf of: name no file',
    )
}

/** Made for this process, never out of it: it cannot be exported, and is gone when the process is. */
export async function makeOwnKey(terminal: Pick<Terminal, 'fetch' | 'now'>, url: string): Promise<OwnKey> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  const pair: BoundKeyPair = await crypto.subtle.generateKey(algorithm, false, ['sign'])
  const { crv, kty, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey)
  const jkt = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
  return { fetch: signingFetch(terminal, url, pair), jkt }
}

/**
 * Opens tasks for a human who signs in for each, one after the other: two sign-ins at once look alike.
 *
 * @param options.ended gives up the sign-in that is under way, and ends what is opened all the same
 */
export function openSignedIn(
  terminal: Terminal,
  url: string,
  options: SignInOption & { key: OwnKey; ended: AbortSignal },
): Opener {
  const { now, schedule } = terminal
  const { key, ended } = options
  let before: Promise<unknown> = Promise.resolve()
  return {
    async openTask(wanted) {
      const turn = before.then(() => signInFor(terminal, url, wanted, options))
      before = turn.catch(() => {})
      const idToken = await turn
      const evidence = () => idToken.reveal()
      const mayfly = createMayfly({ url, evidence, fetch: key.fetch, now, schedule })
      return mayfly.openTask({ ...wanted, signal: ended }).catch((error: unknown) => {
        throw ended.aborted ? ending() : error
      })
    },
  }
}

const ending = () => new CommandError('nothing is opened any more: this is ending')

type Wanted = { purpose: string; agent?: string; minutes?: number; asks: readonly AskDetail[] }

/** The ID token of a sign-in for this one request. @throws CommandError */
async function signInFor(
  terminal: Terminal,
  url: string,
  { purpose, agent, minutes, asks }: Wanted,
  options: SignInOption & { key: OwnKey; ended: AbortSignal },
): Promise<Secret> {
  const { key, ended: signal, device = false } = options
  if (signal.aborted) throw ending()
  const client = createClient(terminal, url)
  const { sign_in: places } = await client.call(
    { method: 'GET', path: '/v1/sign-in', whenLost: 'repeat' },
    placesAnswer,
  )
  const place = choose(places, options, url)
  const wanted = asks.map(({ type: issuer, ...ask }) => ({ issuer, ask: plain(ask) }))
  const nonce = signInNonce({
    jkt: key.jkt,
    request: signedForDigest({ purpose, agent, minutes, asks: wanted }),
  })
  note(terminal, `to let ${printable(agent ?? 'an agent')} work in your name: ${printable(purpose)}`)
  for (const ask of asks) note(terminal, `  ${showAsk(ask)}`)
  const provider: Provider = { ...place, acr_values: [] }
  const how = {
    ...{ nonce, signal },
    ...(place.max_age_seconds === undefined ? {} : { maxAgeS: place.max_age_seconds }),
  }
  // Loaded when it is used: most commands sign nobody in.
  if (!device)
    return (await import('./sign-in-browser.ts')).browserSignIn(terminal, provider, {
      ...how,
      isFresh: false,
    })
  const idToken = await (await import('./sign-in-device.ts')).deviceSignIn(terminal, provider, how)
  if (place.device_flow === 'bound' && nonceOf(idToken) !== nonce) throw unbound()
  return idToken
}

/** Unverified, as for saying early what the broker would refuse. */
function nonceOf(idToken: Secret): string | undefined {
  const [, payload = ''] = idToken.reveal().split('.')
  try {
    return (JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { nonce?: string }).nonce
  } catch {
    return undefined
  }
}

const unbound = () =>
  new CommandError(
    'the identity provider leaves the nonce out of what a device flow gives: it is bound to no key.\n' +
      '  Sign in without --device, or have the operators read docs/laptops.md (device_flow: unbound).',
    { exitCode: EXIT.denied },
  )

/** As the broker will read it: what JSON does not say is not there. */
function plain(ask: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(ask)) as Record<string, unknown>
}

function choose(places: readonly Place[], { signInAt, device }: SignInOption, url: string): Place {
  const usable = places.filter(
    one =>
      (signInAt === undefined || one.attestor === signInAt) && (device !== true || one.device_flow !== 'off'),
  )
  const [only] = usable
  if (only !== undefined && usable.length === 1) return only
  const names = (usable.length > 0 ? usable : places).map(one => printable(one.attestor)).join(', ')
  if (usable.length > 1)
    throw usageError(`humans may sign in at several: choose with --sign-in-at (${names})`)
  const why =
    places.length === 0
      ? 'it has no attestor of type laptop'
      : device === true
        ? `no device flow is switched on (device_flow) at ${names}`
        : `it has ${names}`
  throw new CommandError(`humans cannot sign in so at ${url}: ${why}`, { exitCode: EXIT.denied })
}
