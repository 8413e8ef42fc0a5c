import type { Lease } from './mayfly-client.ts'
import type { Stage } from './stage.ts'
import { clockTime, type Timeline } from './timeline.ts'

/** The providers' own truth beside the ledger's. Returns how many credentials are outstanding. */
export async function reckoning(
  { installation, mayfly, operatorToken }: Stage,
  timeline: Timeline,
): Promise<number> {
  timeline.chapter(
    'The reckoning: what is alive, by the word of those who would know',
    'The stand-ins remember every credential that they ever gave. Mayfly has its ledger, in which each one was\n' +
      'written down before it was asked for. The two must agree.',
  )

  // 1. The providers.
  const atGithub = installation.github.credentials()
  const atAws = installation.aws.credentials()
  for (const [name, given] of [
    ['GitHub', atGithub],
    ['AWS', atAws],
  ] as const) {
    const alive = given.filter(one => one.alive).length
    timeline.step(name, `credentials given: ${given.length}, alive: ${alive}`)
    timeline.ensure(alive === 0, `no credential is alive at ${name}`)
  }

  // 2. The ledger, which names a GitHub token by its hash and an AWS session by its session name.
  const leases = (await mayfly.leases(operatorToken)).toReversed()
  const outstanding = (await mayfly.leases(operatorToken, 'outstanding')).length
  timeline.step('Mayfly', `credentials in its ledger: ${leases.length}, outstanding: ${outstanding}`)
  timeline.ensure(outstanding === 0, 'nothing is outstanding')
  const known = new Set(leases.flatMap(({ lease, sha256 }) => [lease, sha256]))
  const given = [...atGithub.map(({ sha256 }) => sha256), ...atAws.map(({ sessionName }) => sessionName)]
  timeline.ensure(
    given.every(one => known.has(one)),
    'the ledger knows every credential that a provider gave',
  )

  // 3. How each one ended.
  timeline.text(`\n          ${'for agent'.padEnd(10)} ${'from'.padEnd(7)} how it ended`)
  for (const lease of leases)
    timeline.text(`          ${lease.agent.padEnd(10)} ${lease.issuer.padEnd(7)} ${howItEnded(lease)}`)
  timeline.text(
    '\n          ("mayfly" is the broker itself, which looks up names at GitHub with a lease of its own)',
  )
  return outstanding
}

function howItEnded({ state, closed_as, revocability, ...times }: Lease): string {
  if (state !== 'closed') return `not yet: ${state}`
  const { expires_at, revoking_at, confirmed_dead_at } = times
  if (confirmed_dead_at === null || revoking_at === null)
    return `${closed_as}: ${revocability}, it stopped by itself at ${clockTime(expires_at)}`
  const took = Date.parse(confirmed_dead_at) - Date.parse(revoking_at)
  return `${closed_as}, and confirmed dead ${took} ms after its task ended`
}
