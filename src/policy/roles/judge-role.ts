/** One human, one action, one resource, against role policies. Deny by default; an error of any kind is a denial. */
import type { EntityJson } from '@cedar-policy/cedar-wasm/nodejs'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { CompiledRoles } from './compile-roles.ts'

export type RoleCall = {
  operator: {
    issuer: string
    subject: string
    roles: readonly string[]
    groups: readonly string[]
    teams: readonly string[]
    namespaces: readonly string[]
  }
  action: string
  resource: { kind: string; name?: string; team?: string; namespace?: string }
}

export type RoleVerdict = { allowed: boolean; determining: readonly string[] }

const DENIED: RoleVerdict = { allowed: false, determining: [] }
const uid = (type: string, id: string) => ({ type: `Mayfly::${type}`, id })

/** Never throws. */
export function judgeRole({ setName, schemaName }: CompiledRoles, call: RoleCall): RoleVerdict {
  const { operator, action, resource } = call
  const principal = uid('Operator', `${operator.issuer}#${operator.subject}`)
  const touched = uid('Resource', `${resource.kind}/${resource.name ?? ''}`)
  try {
    const answer = cedar.statefulIsAuthorized({
      ...{ principal, action: uid('Action', action), resource: touched, context: {} },
      entities: [operatorEntity(principal, operator), resourceEntity(touched, resource)],
      ...{ preparsedPolicySetId: setName, preparsedSchemaName: schemaName, validateRequest: true },
    })
    if (answer.type === 'failure') return DENIED
    const { decision, diagnostics } = answer.response
    // Cedar passes over a forbid that cannot be evaluated: an error in any policy denies.
    if (decision !== 'allow' || diagnostics.errors.length > 0) return DENIED
    return { allowed: true, determining: diagnostics.reason.toSorted() }
  } catch {
    return DENIED
  }
}

function operatorEntity(
  entity: { type: string; id: string },
  { issuer, subject, roles, groups, teams, namespaces }: RoleCall['operator'],
): EntityJson {
  const parents = [
    ...roles.map(name => uid('Role', name)),
    ...groups.map(name => uid('Group', name)),
    ...teams.map(name => uid('Team', name)),
    ...namespaces.map(name => uid('Namespace', name)),
  ]
  return { uid: entity, attrs: { issuer, subject }, parents }
}

function resourceEntity(
  entity: { type: string; id: string },
  { kind, name, team, namespace }: RoleCall['resource'],
): EntityJson {
  const attrs = {
    kind,
    ...(name === undefined ? {} : { name }),
    ...(team === undefined ? {} : { team: { __entity: uid('Team', team) } }),
    ...(namespace === undefined ? {} : { namespace: { __entity: uid('Namespace', namespace) } }),
  }
  return { uid: entity, attrs, parents: [] }
}
