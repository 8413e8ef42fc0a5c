import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { loadConfig } from '../config.ts'
import { openIssuers } from '../open-plugins.ts'
import { policyWarnings } from './policy-warnings.ts'
import type { Terminal } from './terminal.ts'

/** `mayfly check`: reads the whole configuration as `serve` would, and starts nothing. */
export async function check(
  terminal: Terminal,
  { config, json }: { config: string; json?: boolean },
): Promise<void> {
  const edge = await terminal.edge()
  const loaded = await loadConfig(config, edge.files, {
    attestorTypes,
    issuerTypes,
    openIssuers: settings => openIssuers(settings, edge, offline),
  })
  const { settings, agents, resourceServers } = loaded
  for (const warning of await policyWarnings(terminal, config)) terminal.err(`${warning}\n`)
  const summary = {
    attestors: Object.keys(settings.attestors),
    issuers: Object.keys(settings.issuers),
    agents: agents.map(agent => agent.name),
    resource_servers: resourceServers.map(server => server.name),
  }
  if (json) terminal.out(`${JSON.stringify(summary)}\n`)
  else
    terminal.out(
      `${config} is good: ${summary.attestors.length} attestors, ${summary.issuers.length} issuers, ` +
        `${summary.agents.length} agents, ${summary.resource_servers.length} resource servers\n`,
    )
}

/** Opening an issuer makes no call and no signature, so there is nothing to lend it here. */
const offline = {
  fetch: () => Promise.reject(new Error('a configuration check makes no calls')),
  sign: () => Promise.reject(new Error('a configuration check signs nothing')),
  signIdentity: () => Promise.reject(new Error('a configuration check signs nothing')),
}
