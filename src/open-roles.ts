/** Role policies of the settings, or the ones the broker carries, and who is in which role. */
import { join } from 'node:path'
import type { OperatedOn } from './broker/people/operator.ts'
import type { RoleRequest, Roles } from './broker/people/people.ts'
import { ROLE_NAMES } from './config/operators.ts'
import { ConfigError, type ConfigFiles, type Settings } from './config.ts'
import { compileRoles, type RoleFile } from './policy/roles/compile-roles.ts'
import { judgeRole, type RoleCall } from './policy/roles/judge-role.ts'
import { SHIPPED_ROLES } from './policy/roles/shipped.ts'

type Chosen = Pick<Settings, 'operators' | 'namespaces'>

/** @throws ConfigError where they cannot be loaded: nobody works with half of a set */
export async function openRoles(settings: Chosen, files: ConfigFiles): Promise<Roles> {
  const compiled = compileRoles(await readRoles(settings, files))
  if (!compiled.ok) {
    const { file, line, message } = compiled.problem
    throw refuse(file, message, line)
  }
  const { roles } = compiled
  return {
    hash: () => roles.hash,
    judge: async request => judgeRole(roles, callOf(request, settings)),
  }
}

async function readRoles({ operators }: Chosen, files: ConfigFiles): Promise<RoleFile[]> {
  const folder = operators.roles_dir
  if (folder === undefined) return [{ name: 'roles.cedar', text: SHIPPED_ROLES }]
  const names = await files.listDir(folder).catch(() => {
    throw refuse(folder, 'expected a folder that can be read')
  })
  const found = names.filter(name => name.endsWith('.cedar')).sort()
  if (found.length === 0) throw refuse(folder, 'expected at least one file that ends in .cedar')
  return Promise.all(
    found.map(async name => ({ name: join(folder, name), text: await files.readFile(join(folder, name)) })),
  )
}

function callOf({ operator, action, on }: RoleRequest, { operators, namespaces }: Chosen): RoleCall {
  // An issuer has no `#`; a subject may.
  const cut = operator.id.indexOf('#')
  const isOf = (members: readonly string[]) => members.some(group => operator.groups.includes(group))
  return {
    operator: {
      ...{ issuer: operator.id.slice(0, cut), subject: operator.id.slice(cut + 1), groups: operator.groups },
      roles: ROLE_NAMES.filter(role => isOf(operators.roles[role] ?? [`mayfly-${role}`])),
      teams: [...new Set([...operator.groups, ...namesOf(operators.teams, isOf)])],
      namespaces: namesOf(
        Object.fromEntries(Object.entries(namespaces).map(([name, { owners }]) => [name, owners])),
        isOf,
      ),
    },
    action,
    resource: resourceOf(on),
  }
}

function namesOf(
  all: Readonly<Record<string, readonly string[]>>,
  isOf: (members: readonly string[]) => boolean,
): string[] {
  return Object.entries(all).flatMap(([name, members]) => (isOf(members) ? [name] : []))
}

function resourceOf({ agent, owner, namespace }: OperatedOn): RoleCall['resource'] {
  const [kind, name] =
    agent !== undefined
      ? (['agent', agent] as const)
      : namespace !== undefined
        ? (['namespace', namespace] as const)
        : owner !== undefined
          ? (['team', owner] as const)
          : (['installation', undefined] as const)
  return {
    kind,
    ...(name === undefined ? {} : { name }),
    ...(owner === undefined ? {} : { team: owner }),
    ...(namespace === undefined ? {} : { namespace }),
  }
}

function refuse(file: string, expected: string, line = 1): ConfigError {
  return new ConfigError([{ file, line, column: 1, key: 'operators.roles_dir', expected }])
}
