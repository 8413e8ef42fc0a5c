import { basename } from 'node:path'
import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import type { Issuer } from '../../issuers/issuer.ts'
import { loadConfig } from '../config.ts'
import { noMetrics } from '../metrics.ts'
import type { Edge } from '../open-core.ts'
import { openAttestors, openIssuers } from '../open-plugins.ts'
import { openRoles } from '../open-roles.ts'
import type { PolicyFile } from '../policy/cedar/compile.ts'
import { createPolicyHost, type Plugins } from '../policy-host/host.ts'
import { prepareFiles } from '../registry/policies.ts'
import { policyWarnings } from './policy-warnings.ts'
import { count } from './print.ts'
import type { Terminal } from './terminal.ts'

/** `mayfly check`: reads the whole configuration as `serve` would, and starts nothing. */
export async function check(
  terminal: Terminal,
  { config, json }: { config: string; json?: boolean },
): Promise<void> {
  const edge = await terminal.edge()
  let issuers: ReadonlyMap<string, Issuer> = new Map()
  const loaded = await loadConfig(config, edge.files, {
    attestorTypes,
    issuerTypes,
    openIssuers(settings) {
      const opened = openIssuers(settings, edge, offline)
      issuers = opened
      return opened
    },
  })
  const { settings, agents, resourceServers, policies = [] } = loaded
  const attestors = openAttestors(loaded, edge, offline.fetch)
  for (const [name, { notices = [] }] of attestors)
    for (const notice of notices) terminal.err(`attestors.${name}: ${notice}\n`)
  await checkPolicies({ attestors, issuers }, edge, loaded.policies)
  if (settings.operators.oidc !== undefined) await openRoles(settings, edge.files)
  for (const warning of await policyWarnings(terminal, config)) terminal.err(`${warning}\n`)
  const summary = {
    attestors: Object.keys(settings.attestors),
    issuers: Object.keys(settings.issuers),
    agents: agents.map(agent => agent.name),
    resource_servers: resourceServers.map(server => server.name),
    policy_files: policies.map(({ name }) => basename(name)),
  }
  if (json) terminal.out(`${JSON.stringify(summary)}\n`)
  else
    terminal.out(
      `${config} is good: ${count(summary.attestors.length, 'attestor')}, ` +
        `${count(summary.issuers.length, 'issuer')}, ${count(summary.agents.length, 'agent')}, ` +
        `${count(summary.resource_servers.length, 'resource server')}` +
        `${settings.policies_dir === undefined ? '' : `, ${count(policies.length, 'policy file')}`}\n`,
    )
}

/** In a thread, as `serve` does it. @throws ConfigError */
async function checkPolicies(
  plugins: Plugins,
  { schedule, log }: Pick<Edge, 'schedule' | 'log'>,
  files: readonly PolicyFile[] | undefined,
): Promise<void> {
  const host = createPolicyHost(plugins, { schedule, log, metrics: noMetrics })
  try {
    await prepareFiles(host, files)
  } finally {
    await host.stop()
  }
}

/** Opening an issuer makes no call and no signature, so there is nothing to lend it here. */
const offline = {
  fetch: () => Promise.reject(new Error('a configuration check makes no calls')),
  sign: () => Promise.reject(new Error('a configuration check signs nothing')),
  signIdentity: () => Promise.reject(new Error('a configuration check signs nothing')),
}
