/** The paths an App's JWT opens: the App itself, its installations, and the minting of tokens. */
import { requireApp, requireInstallation } from './access.ts'
import { mintToken, revokeToken } from './access-tokens.ts'
import { notFound } from './answer.ts'
import { type Call, type Handler, paged } from './handler.ts'
import { renderApp, renderInstallation, renderRepository } from './render.ts'
import {
  type GithubState,
  type InstallationRecord,
  reachOfInstallation,
  reachOfToken,
  repositoryNamed,
} from './state.ts'

export const getApp: Handler = ({ state, caller, origin }) => {
  const app = requireApp(caller)
  return { status: 200, body: renderApp(app, installationsOf(state, app.appId), origin) }
}

export const listInstallations: Handler = call => {
  const app = requireApp(call.caller)
  const { items, headers } = paged(call, installationsOf(call.state, app.appId))
  return { status: 200, headers, body: items.map(one => renderInstallation(call.state, one, call.origin)) }
}

export const getInstallation: Handler = call => answer(call, ownInstallation(call))

export const suspendInstallation: Handler = call => {
  ownInstallation(call).suspendedAt ??= call.state.now()
  return { status: 204 }
}

export const unsuspendInstallation: Handler = call => {
  delete ownInstallation(call).suspendedAt
  return { status: 204 }
}

export const getRepositoryInstallation: Handler = call => {
  const { appId } = requireApp(call.caller)
  const repository = repositoryNamed(call.state, String(call.params.owner), String(call.params.repo))
  const found = installationsOf(call.state, appId).find(
    one => repository !== undefined && reachOfInstallation(call.state, one).includes(repository),
  )
  return answer(call, found)
}

export const getOrganizationInstallation: Handler = call =>
  answer(call, installationOn(call, String(call.params.org), 'Organization'))

/** GitHub answers here for organizations too. */
export const getUserInstallation: Handler = call =>
  answer(call, installationOn(call, String(call.params.username)))

export const createAccessToken: Handler = call =>
  mintToken(call.state, ownInstallation(call), call.body, {
    origin: call.origin,
    userAgent: call.userAgent,
    trimDeprecated: call.trimDeprecated,
  })

export const revokeAccessToken: Handler = ({ state, caller }) =>
  revokeToken(state, requireInstallation(caller))

export const listAccessibleRepositories: Handler = call => {
  const token = requireInstallation(call.caller)
  const reach = reachOfToken(call.state, token)
  const { items, headers } = paged(call, reach)
  const selected = token.repositories !== 'all'
  const installation = call.state.installations.get(token.installationId)!
  const repositories = items.map(one => renderRepository(one, call.origin, call.trimDeprecated))
  return {
    status: 200,
    headers,
    body: {
      total_count: reach.length,
      repository_selection: selected || installation.repositories !== 'all' ? 'selected' : 'all',
      repositories,
    },
  }
}

function installationsOf(state: GithubState, appId: number): InstallationRecord[] {
  return [...state.installations.values()].filter(installation => installation.appId === appId)
}

/** Another App's installation is not there. */
function ownInstallation({ state, caller, params }: Call): InstallationRecord {
  const app = requireApp(caller)
  const installation = state.installations.get(Number(params.installation_id))
  if (installation === undefined || installation.appId !== app.appId) throw notFound()
  return installation
}

function installationOn({ state, caller }: Call, account: string, type?: 'Organization') {
  return installationsOf(state, requireApp(caller).appId).find(
    one =>
      one.account.toLowerCase() === account.toLowerCase() && (type === undefined || one.accountType === type),
  )
}

function answer({ state, origin }: Call, installation: InstallationRecord | undefined) {
  if (installation === undefined) throw notFound()
  return { status: 200, body: renderInstallation(state, installation, origin) }
}
