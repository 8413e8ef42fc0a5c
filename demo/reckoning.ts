import { granted, type Lease } from './mayfly-client.ts'
import type { Stage } from './stage.ts'
import { clockTime, type Timeline } from './timeline.ts'

/** The providers' own truth beside the ledger's. Returns how many credentials are outstanding. */
export async function reckoning(
  { installation, mayfly, operatorToken }: Stage,
  timeline: Timeline,
): Promise<number> {
  timeline.chapter(
    'The reckoning: what is alive, by the word of those who would know',
    'The stand-ins remember every credential they ever gave. Mayfly has its ledger, where each one was written\n' +
      'down before it was asked for. The two must agree.',
  )

  // 1. The providers.
  const { github, aws } = installation
  for (const [name, all] of [
    ['GitHub', github.credentials()],
    ['AWS', aws.credentials()],
  ] as const) {
    const alive = all.filter(one => one.alive).length
    timeline.step(name, `gave ${all.length} credential${all.length === 1 ? '' : 's'} in all; alive: ${alive}`)
    timeline.ensure(alive === 0, `no credential is alive at ${name}`)
  }

  // 2. The ledger.
  const leases = granted(await mayfly.leases(operatorToken)).items.toReversed()
  const outstanding = granted(await mayfly.leases(operatorToken, 'outstanding')).items.length
  timeline.step('Mayfly', `has ${leases.length} credentials in its ledger; outstanding: ${outstanding}`)
  const ofProviders = leases.filter(lease => lease.issuer !== 'jwt').length
  const given = github.credentials().length + aws.credentials().length
  timeline.ensure(ofProviders === given, 'the ledger knows every credential that a provider gave')
  timeline.ensure(outstanding === 0, 'nothing is outstanding')

  timeline.text(`\n          ${'agent'.padEnd(10)} ${'issuer'.padEnd(8)} how it ended`)
  for (const lease of leases)
    timeline.text(`          ${lease.agent.padEnd(10)} ${lease.issuer.padEnd(8)} ${howItEnded(lease)}`)
  timeline.text('\n          (The agent "mayfly" is the broker itself, looking names up at GitHub.)')
  return outstanding
}

function howItEnded({
  state,
  closed_as,
  expires_at,
  revoking_at,
  confirmed_dead_at,
  revocability,
}: Lease): string {
  if (state !== 'closed') return `not yet: it is ${state}`
  if (confirmed_dead_at === null || revoking_at === null)
    return `${closed_as}: it is ${revocability} and stopped by itself at ${clockTime(expires_at)}`
  const took = Date.parse(confirmed_dead_at) - Date.parse(revoking_at)
  return `${closed_as}, and confirmed dead ${took} ms after the end of its task`
}
